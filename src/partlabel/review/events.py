"""What people said: single answers, whole photos, and what they add up to."""

from typing import Literal, NamedTuple

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN

Answer = Literal["present", "absent", "skip"]
Outcome = Literal["complete", "known", "skip"]
CODES = {"present": PRESENT, "absent": ABSENT}


class Cell(NamedTuple):
    """A label, by the names of its image and class."""

    image: str
    cls: str


class Event(NamedTuple):
    """Something that somebody decided.

    Attributes:
        id: In the order of time.
        at: When, in UTC, as ISO 8601.
        who: Their name.
        desk: Their browser.
        image: As the table names it.
        cls: The class.
        what: `present`, `absent`, `skip` or `undo`.
        undoes: The id of the event that is taken back.
        probability: What the page said of it; None where it hid that.
        sheet: The id of the sheet that it is part of; None for an answer of its own.
    """

    id: int
    at: str
    who: str
    desk: str
    image: str
    cls: str
    what: str
    undoes: int | None
    probability: float | None
    sheet: int | None = None

    @property
    def cell(self) -> Cell:
        """What it is about."""
        return Cell(self.image, self.cls)


class Sheet(NamedTuple):
    """All classes of one photo that was drawn at random, or why they were not answered.

    Attributes:
        id: In the order of time.
        at: When, in UTC, as ISO 8601.
        who: Their name.
        desk: Their browser.
        image: As the table names it.
        outcome: `complete`: every class was answered; `known`: the table knew every label; `skip`: the person could not
            answer; `undo`.
        undoes: The id of the sheet that is taken back.
    """

    id: int
    at: str
    who: str
    desk: str
    image: str
    outcome: str
    undoes: int | None


class Tally:
    """What events add up to: of each person the last answer not taken back, of each label the last of those."""

    def __init__(self) -> None:
        self.answers: dict[Cell, list[Event]] = {}
        self._skipped: dict[str, set[Cell]] = {}
        self._counts: dict[str, int] = {}

    def add(self, event: Event) -> None:
        """Count one more event; they come in their order."""
        before = self.standing(event.cell)
        answers = self.answers.setdefault(event.cell, [])
        if event.what == "undo":
            answers[:] = [answer for answer in answers if answer.id != event.undoes]
        else:
            answers.append(event)
        if not answers:
            del self.answers[event.cell]
        after = self.standing(event.cell)
        for standing, sign in ((before, -1), (after, 1)):
            for who, answer in standing.items():
                if answer.what != "skip":
                    self._counts[who] = self._counts.get(who, 0) + sign
        for who in before.keys() | after.keys():
            skipped = self._skipped.setdefault(who, set())
            skipped.discard(event.cell)
            if who in after and after[who].what == "skip":
                skipped.add(event.cell)

    def standing(self, cell: Cell) -> dict[str, Event]:
        """The last answer of each person, who answered last coming last."""
        found: dict[str, Event] = {}
        for answer in self.answers.get(cell, ()):
            found.pop(answer.who, None)
            found[answer.who] = answer
        return found

    def last(self, cell: Cell) -> Event | None:
        """Who answered last; None where nobody did, or all skipped."""
        said = [answer for answer in self.standing(cell).values() if answer.what != "skip"]
        return said[-1] if said else None

    def label(self, cell: Cell) -> int:
        """PRESENT or ABSENT by who answered last; UNKNOWN where nobody did, or all skipped."""
        last = self.last(cell)
        return UNKNOWN if last is None else CODES[last.what]

    def disagrees(self, cell: Cell) -> bool:
        """Whether people say different things of it."""
        return len({answer.what for answer in self.standing(cell).values()} - {"skip"}) > 1

    def skipped(self, who: str) -> frozenset[Cell]:
        """What a person could not tell, as it stands."""
        return frozenset(self._skipped.get(who, ()))

    def counts(self) -> dict[str, int]:
        """How many answers of each person stand, skips aside, the most first."""
        standing = ((who, count) for who, count in self._counts.items() if count)
        return dict(sorted(standing, key=lambda item: (-item[1], item[0])))
