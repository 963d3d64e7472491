"""Pages of photos: many photos with one class, all answers confirmed together.

A page has the class of the first question in the order of the person, and the first photos of that class in the same
order. All its labels are leased to the desk, and its answers are written all or none.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from partlabel.review import ordering
from partlabel.review.decisions import new_name
from partlabel.review.events import Answer, Cell
from partlabel.review.page_size import MOST
from partlabel.review.questions import Wish
from partlabel.review.session import Session
from partlabel.review.together import Together

LEASE_PER_PHOTO = 15.0
"""Minimum duration of a lease in seconds per photo of a page."""


class Tile(NamedTuple):
    """A photo of a page.

    Attributes:
        row: Row of the image.
        image: Image name in the table.
        probability: Predicted probability that the class is present.
    """

    row: int
    image: str
    probability: float

    @property
    def expected(self) -> Answer:
        """The answer that the model expects."""
        return "present" if self.probability >= 0.5 else "absent"


class PhotoPage(NamedTuple):
    """A page: one class, and the photos to answer.

    Attributes:
        ask: Id of the page as it is shown.
        column: Column of the class.
        cls: Name of the class.
        tiles: Photos.
    """

    ask: str
    column: int
    cls: str
    tiles: tuple[Tile, ...]


class Grids(Together):
    """Pages of a review, for any number of desks (browser sessions) at once.

    Args:
        session: Review session.
        size: Number of photos on a page, from `FEWEST` to `MOST`.
    """

    def __init__(self, session: Session, size: int) -> None:
        super().__init__(session, LEASE_PER_PHOTO * size)
        self.size = size

    def next(self, desk: str, who: str, wish: Wish, skip_current: bool = False) -> PhotoPage | None:
        """Return the current page of a desk: the one it has, if it matches the filter, or the first one that does.

        Args:
            desk: Browser session that leases the labels.
            who: Name of the person.
            wish: Filter and order.
            skip_current: Return the first page that matches, even if the desk has one.

        Returns:
            The page; None if nothing is left.
        """
        session = self.session
        with session.lock:
            cells = self.claim(
                desk, who, wish, skip_current,
                lambda others, askable: self._first(wish, askable),
                lambda cell: session.is_drawn(cell, wish),
            )  # fmt: skip
            return self._grid(cells)

    def confirm(
        self, desk: str, who: str, ask: str, column: int, given: Mapping[int, Answer], hidden: bool = False
    ) -> bool:
        """Record all answers of a page, or none.

        Args:
            desk: Browser session.
            who: Name of the person.
            ask: Id of the page as it was shown; a page that is sent twice counts once.
            column: Column of the class.
            given: Answers by row of the image.
            hidden: Whether the page hid the model's predictions.

        Returns:
            Whether the page is new.

        Raises:
            KeyError: There is no such unknown label.
            ValueError: There are no answers, or more than a page has.
        """
        if not 0 < len(given) <= MOST:
            raise ValueError(f"{len(given)} answers: a page has 1 to {MOST} photos")
        return self.write(desk, who, ask, {(row, column): what for row, what in given.items()}, hidden)

    def undo(self, desk: str, who: str) -> tuple[PhotoPage | None, dict[int, str]]:
        """Undo a desk's last page or answer, and show its photos again.

        Returns:
            The page without labels that others have by now, None if nothing is left of it; and its answers by row.
        """
        with self.session.lock:
            cells, answers = self.take_back(desk, who)
            grid = self._grid(cells)
            given = {} if grid is None else {t.row: answers[Cell(t.image, grid.cls)] for t in grid.tiles}
            return grid, given

    def last_words(self, desk: str) -> str:
        """Describe what `undo` would undo; empty if there is nothing."""
        last = self.session.last(desk)
        if last is None:
            return ""
        events = self.with_it(last)
        if len(events) == 1:
            return f"{last.cls} in {last.image}"
        present = sum(event.what == "present" for event in events)
        where = last.image if len({event.image for event in events}) == 1 else f"{len(events)} photos"
        return f"{last.cls if where != last.image else f'{len(events)} tags'} in {where}, {present} present"

    def _first(self, wish: Wish, askable: ordering.Blank) -> Sequence[Cell]:
        """Choose the class of the first question, and its first photos."""
        session, key = self.session, self.session.key(wish.order)
        found = ordering.first(key, askable)
        if found is None:
            return []
        column = found[1]
        rows = np.flatnonzero(askable[:, column] & np.isfinite(key[:, column]))
        rows = rows[np.argsort(key[rows, column], kind="stable")][: self.size]
        return [session.cell(row, column) for row in rows.tolist()]

    def _grid(self, cells: Sequence[Cell]) -> PhotoPage | None:
        places = [place for cell in cells if (place := self.session.place(cell)) is not None]
        if not places:
            return None
        column = places[0][1]  # a page of tags that is undone here has several classes
        places = [place for place in places if place[1] == column]
        tiles = [
            Tile(row, self.session.table.images[row], float(self.session.probability[row, column]))
            for row, _ in places
        ]
        return PhotoPage(new_name(), column, self.session.table.classes[column], tuple(tiles))
