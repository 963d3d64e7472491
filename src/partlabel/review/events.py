"""Events of a review: single answers, whole images, and the labels that follow from them."""

from typing import Literal, NamedTuple

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN

Answer = Literal["present", "absent", "skip"]
Outcome = Literal["complete", "known", "skip"]
CODES = {"present": PRESENT, "absent": ABSENT}


class Cell(NamedTuple):
    """A label, identified by the names of its image and class."""

    image: str
    cls: str


class Event(NamedTuple):
    """One entry of the log of decisions.

    Attributes:
        id: Number in order of time.
        at: Time in UTC, ISO 8601.
        who: Name of the person.
        desk: Browser session of the person.
        image: Image name in the table.
        cls: Class.
        what: `present`, `absent`, `skip` or `undo`.
        undoes: Id of the event that is undone.
        probability: Probability that the page showed; None where predictions were hidden.
        sheet: Id of the sheet that the event belongs to; None for a single answer.
        page: Id of the page of photos that the event was confirmed with; None for a single answer.
        added: 1 for an answer about a class that a person added, which the table under review does not have.
        drawn: 1 for an answer about a label that the order of questions drew at random.
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
    page: str | None = None
    added: int | None = None
    drawn: int | None = None

    @property
    def cell(self) -> Cell:
        """The label that the event is about."""
        return Cell(self.image, self.cls)


class Sheet(NamedTuple):
    """All classes of one image that was drawn at random, or the reason why they were not answered.

    Attributes:
        id: Number in order of time.
        at: Time in UTC, ISO 8601.
        who: Name of the person.
        desk: Browser session of the person.
        image: Image name in the table.
        outcome: `complete`: every class was answered; `known`: all labels were known in the table; `skip`: the person
            could not answer; `undo`.
        undoes: Id of the sheet that is undone.
    """

    id: int
    at: str
    who: str
    desk: str
    image: str
    outcome: str
    undoes: int | None


class Tally:
    """The current answers that follow from a log of events.

    Each person's last answer that is not undone counts, and of a label the most recent one.

    Attributes:
        answers: Answers about each label that are not undone.
        added: Labels with an answer of each class that a person added.
    """

    def __init__(self) -> None:
        self.answers: dict[Cell, list[Event]] = {}
        self.added: dict[str, set[Cell]] = {}
        self._skipped: dict[str, set[Cell]] = {}
        self._counts: dict[str, int] = {}

    def add(self, event: Event) -> None:
        """Apply one more event; events must be added in order of time."""
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
        if event.added or event.cls in self.added:
            known = self.added.setdefault(event.cls, set())
            known.discard(event.cell)
            if self.label(event.cell) != UNKNOWN:
                known.add(event.cell)

    def standing(self, cell: Cell) -> dict[str, Event]:
        """Return the last answer of each person, the most recent one last."""
        latest: dict[str, Event] = {}
        for answer in self.answers.get(cell, ()):
            latest.pop(answer.who, None)
            latest[answer.who] = answer
        return latest

    def last(self, cell: Cell) -> Event | None:
        """Return the most recent answer; None if there is none, or everyone skipped."""
        answers = [answer for answer in self.standing(cell).values() if answer.what != "skip"]
        return answers[-1] if answers else None

    def label(self, cell: Cell) -> int:
        """Return PRESENT or ABSENT by the most recent answer; UNKNOWN if there is none, or everyone skipped."""
        last = self.last(cell)
        return UNKNOWN if last is None else CODES[last.what]

    def is_drawn(self, cell: Cell) -> bool:
        """Return whether a person answered about this label because it was drawn at random."""
        return any(answer.drawn and answer.what != "skip" for answer in self.answers.get(cell, ()))

    def disagrees(self, cell: Cell) -> bool:
        """Return whether people gave different answers for this label."""
        return len({answer.what for answer in self.standing(cell).values()} - {"skip"}) > 1

    def skipped(self, who: str) -> frozenset[Cell]:
        """Return the labels that a person skipped and has not answered since."""
        return frozenset(self._skipped.get(who, ()))

    def new_classes(self) -> tuple[str, ...]:
        """Return the classes that people added, the oldest first; one whose answers are all undone is none."""
        return tuple(name for name, known in self.added.items() if known)

    def counts(self) -> dict[str, int]:
        """Count the valid answers of each person, without skips, largest count first."""
        standing = ((who, count) for who, count in self._counts.items() if count)
        return dict(sorted(standing, key=lambda item: (-item[1], item[0])))
