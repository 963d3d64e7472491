"""All tags of one photo: every unknown label of it, answered together as far as a person can tell.

Unlike a calibration set (`sheets.py`), photos come in the order of the questions, expected answers are set, known
labels are not asked again, and a label without an answer stays unknown. People may add tags (`new_tags.py`).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from partlabel.core.labels import PRESENT
from partlabel.review import ordering
from partlabel.review.decisions import NO_ANSWERS, new_name
from partlabel.review.events import Answer, Cell
from partlabel.review.new_tags import NewTags
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
        new: Names of classes that people added, to answer.
    """

    ask: str
    row: int
    image: str
    tags: tuple[Tag, ...]
    known: tuple[str, ...]
    new: tuple[str, ...] = ()


class PhotoTags(Together):
    """Photos of a review with all their tags, for any number of desks (browser sessions) at once.

    Args:
        session: Review session.
        blind: Whether predictions are hidden, also by the order of the tags, which then is that of the table.
    """

    def __init__(self, session: Session, blind: bool = False) -> None:
        super().__init__(session, LEASE)
        self.blind = blind
        self.new = NewTags(session)

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
            cells = self.claim(desk, who, wish, skip_current, choose)
            return self._photo(cells, who, skipped=wish.skipped)

    def confirm(
        self,
        desk: str,
        who: str,
        ask: str,
        row: int,
        given: Mapping[int, Answer],
        new: Mapping[str, Answer] = NO_ANSWERS,
    ) -> bool:
        """Record the answers about a photo, all or none.

        Args:
            desk: Browser session.
            who: Name of the person.
            ask: Id of the page as it was shown; a page that is sent twice counts once.
            row: Row of the photo.
            given: Answers by column.
            new: Answers by name about classes that the table does not have.

        Raises:
            KeyError: There is no such unknown label.
            ValueError: There are no answers, or a name is no name of a class.
        """
        if not given and not new:
            raise ValueError("no tag has an answer")
        places = {(row, column): what for column, what in given.items()}
        with self.session.lock:
            self.session.follow()
            self.require_photo(row)
            more = self.new.decisions(self.session.table.images[row], new)
            return self.write(desk, who, ask, places, self.blind, more)

    def require_photo(self, row: int) -> None:
        """Check that a row is a photo of which labels were unknown at the start.

        Raises:
            KeyError: It is not.
        """
        if not 0 <= row < len(self.session.table) or not self.session.blank[row].any():
            raise KeyError(f"there is no photo with unknown labels in row {row}")

    def undo(self, desk: str, who: str) -> tuple[TagPage | None, dict[int | str, str]]:
        """Undo a desk's last photo or answer, and show it again.

        Returns:
            The photo without labels that others have by now, None if nothing is left of it; and its answers by column,
            or by name for classes that the table does not have.
        """
        with self.session.lock:
            cells, answers = self.take_back(desk, who)
            new = [cell for cell in answers if self.session.place(cell) is None]
            image = cells[0].image if cells else new[0].image if new else None
            row = None if image is None else self.session.row(image)
            if row is None:
                return None, {}
            every = self.session.askable(who, ANYTHING._replace(skipped=True))[row]
            whole = [self.session.cell(row, column) for column in np.flatnonzero(every).tolist()]
            cells = self.session.decisions.claim_all(
                desk, lambda others, own: [cell for cell in whole if cell not in others], self.lease
            )
            photo = self._photo(cells, who, [cell.cls for cell in new], skipped=True)
            if photo is None:
                return None, {}
            named = {tag.column: tag.cls for tag in photo.tags} | {name: name for name in photo.new}
            return photo, {key: answers.get(Cell(photo.image, name), "") for key, name in named.items()}

    def last_words(self, desk: str) -> str:
        """Describe what `undo` would undo; empty if there is nothing."""
        last = self.session.last(desk)
        if last is None:
            return ""
        events = self.with_it(last)
        present = [event.cls for event in events if event.what == "present"]
        return f"{last.image}: {', '.join(present[:3]) or 'none present'}{' …' if len(present) > 3 else ''}"

    def _photo(
        self, cells: Sequence[Cell], who: str, new: Sequence[str] = (), *, skipped: bool
    ) -> TagPage | None:
        """Return the photo of some labels; None if there are none.

        Args:
            cells: Labels to answer.
            who: Name of the person.
            new: Names of classes that the table does not have, beside those that were added.
            skipped: Whether to ask about added classes that this person skipped.
        """
        session = self.session
        places = [place for cell in cells if (place := session.place(cell)) is not None]
        if not places:
            return None
        row = places[0][0]  # a page of photos that is undone here has several
        image = session.table.images[row]
        tags = [
            Tag(column, session.table.classes[column], float(session.probability[row, column]))
            for each, column in places
            if each == row
        ]
        if not self.blind:
            tags.sort(key=lambda tag: -tag.probability)
        known = np.flatnonzero(session.labels[row] == PRESENT).tolist()
        names = (*(session.table.classes[column] for column in known), *self.new.present(image))
        asked = tuple(dict.fromkeys((*self.new.open(image, who, skipped), *new)))
        return TagPage(new_name(), row, image, tuple(tags), names, asked)
