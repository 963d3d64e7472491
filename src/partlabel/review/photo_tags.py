"""All tags of one photo: every unknown label of it, answered together as far as a person can tell.

Unlike a calibration set (`sheets.py`), photos come in the order of the questions, expected answers are set, known
labels are not asked again, and a label without an answer stays unknown.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from partlabel.core.labels import PRESENT
from partlabel.review import ordering
from partlabel.review.decisions import new_name
from partlabel.review.events import Answer, Cell
from partlabel.review.ordering import Blank
from partlabel.review.questions import ANYTHING, Wish
from partlabel.review.session import Session
from partlabel.review.together import Together

LEASE = 300.0
"""Minimum duration of a lease on the tags of a photo in seconds."""


class Tag(NamedTuple):
    """A class to answer.

    Attributes:
        column: Column of the class.
        cls: Name of the class.
        probability: Predicted probability that the class is present.
    """

    column: int
    cls: str
    probability: float

    @property
    def expected(self) -> str:
        """The answer that is set at first: `present` where it is expected, else none."""
        return "present" if self.probability >= 0.5 else ""


class TagPage(NamedTuple):
    """A photo, and the classes to answer.

    Attributes:
        ask: Id of the page as it is shown.
        row: Row of the image.
        image: Image name in the table.
        tags: Classes to answer, the most probable first.
        known: Names of the classes that are known to be present.
    """

    ask: str
    row: int
    image: str
    tags: tuple[Tag, ...]
    known: tuple[str, ...]


class PhotoTags(Together):
    """Photos of a review with all their tags, for any number of desks (browser sessions) at once.

    Args:
        session: Review session.
        blind: Whether predictions are hidden, also by the order of the tags, which then is that of the table.
    """

    def __init__(self, session: Session, blind: bool = False) -> None:
        super().__init__(session, LEASE)
        self.blind = blind

    def next(self, desk: str, who: str, wish: Wish, skip_current: bool = False) -> TagPage | None:
        """Return the current photo of a desk: the one it has, if it matches the filter, or the first one that does.

        Args:
            desk: Browser session that leases the labels.
            who: Name of the person.
            wish: Filter and order.
            skip_current: Return the first photo that matches, even if the desk has one.

        Returns:
            The photo; None if nothing is left.
        """

        def choose(others: frozenset[Cell], askable: Blank) -> Sequence[Cell]:
            found = ordering.first(self.session.key(wish.order), askable)
            if found is None:
                return []
            every = self.session.askable(who, ANYTHING._replace(skipped=wish.skipped), others)
            return [
                self.session.cell(found[0], column) for column in np.flatnonzero(every[found[0]]).tolist()
            ]

        with self.session.lock:
            return self._photo(self.claim(desk, who, wish, skip_current, choose))

    def confirm(self, desk: str, who: str, ask: str, row: int, given: Mapping[int, Answer]) -> bool:
        """Record the answers about a photo, by column, all or none.

        Raises:
            KeyError: There is no such unknown label.
            ValueError: There are no answers.
        """
        if not given:
            raise ValueError("no tag has an answer")
        places = {(row, column): what for column, what in given.items()}
        return self.write(desk, who, ask, places, hidden=self.blind)

    def undo(self, desk: str, who: str) -> tuple[TagPage | None, dict[int, str]]:
        """Undo a desk's last photo or answer, and show it again.

        Returns:
            The photo without labels that others have by now, None if nothing is left of it; and its answers by column.
        """
        with self.session.lock:
            cells, answers = self.take_back(desk, who)
            if not cells or (place := self.session.place(cells[0])) is None:
                return None, {}
            every = self.session.askable(who, ANYTHING._replace(skipped=True))[place[0]]
            whole = [self.session.cell(place[0], column) for column in np.flatnonzero(every).tolist()]
            cells = self.session.decisions.claim_all(
                desk, lambda others, own: [cell for cell in whole if cell not in others], self.lease
            )
            photo = self._photo(cells)
            tags = () if photo is None else photo.tags
            return photo, {tag.column: answers.get(Cell(cells[0].image, tag.cls), "") for tag in tags}

    def last_words(self, desk: str) -> str:
        """Describe what `undo` would undo; empty if there is nothing."""
        last = self.session.last(desk)
        if last is None:
            return ""
        events = self.with_it(last)
        present = [event.cls for event in events if event.what == "present"]
        return f"{last.image}: {', '.join(present[:3]) or 'none present'}{' …' if len(present) > 3 else ''}"

    def _photo(self, cells: Sequence[Cell]) -> TagPage | None:
        session = self.session
        places = [place for cell in cells if (place := session.place(cell)) is not None]
        if not places:
            return None
        row = places[0][0]  # a page of photos that is undone here has several
        tags = [
            Tag(column, session.table.classes[column], float(session.probability[row, column]))
            for each, column in places
            if each == row
        ]
        if not self.blind:
            tags.sort(key=lambda tag: -tag.probability)
        known = np.flatnonzero(session.labels[row] == PRESENT).tolist()
        names = tuple(session.table.classes[column] for column in known)
        return TagPage(new_name(), row, session.table.images[row], tuple(tags), names)
