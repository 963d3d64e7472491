"""A calibration set: photos drawn at random, of which people answer every class.

Labels that were chosen in any other way, also by `questions.py`, are no fair sample, and probabilities that were fitted
on them are wrong on the rest. About 40 photos that were drawn at random and labelled completely are enough to correct
them.

The draw is fair over all images that take part: they are sorted by a hash of the seed and their name, and the first
ones are taken. It is the same for everybody, after a restart, and for an image that other images were added to. An
image whose labels are all known in the table already counts without being asked about; a photo that somebody could not
answer, or that cannot be read, is replaced by the next one. Replaced photos make the sample a little less fair, so they
are counted.
"""

import threading
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from partlabel.core.labels import UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.review.decisions import DecisionLog, new_name
from partlabel.review.events import Answer, Cell, Sheet

WHOLE = ""
"""The class of a lease on all classes of a photo."""
LEASE = 900.0
"""Seconds that a photo is one desk's alone."""
HELD_BACK = "test"
"""The part of the split that is not drawn from unless it is asked for: it is for the final score alone."""


class Photo(NamedTuple):
    """A photo to answer.

    Attributes:
        ask: Its name, as it was shown this time.
        row: Its row in the table.
        image: As the table names it.
    """

    ask: str
    row: int
    image: str


class SheetProgress(NamedTuple):
    """How far a calibration set is.

    Attributes:
        done: Photos of which every class was answered or known.
        wanted: Photos asked for, or all there are.
        known: Of `done`, those that the table knew already.
        skipped: Photos that were replaced because somebody could not answer them.
        unreadable: Photos that were replaced because they cannot be read.
        people: How many photos each person answered, the most first.
    """

    done: int
    wanted: int
    known: int
    skipped: int
    unreadable: int
    people: dict[str, int]


class Sheets:
    """The photos of a calibration set, for any number of desks at once.

    Args:
        table: The images are drawn from it.
        decisions: Keeps the answers.
        wanted: Number of photos.
        readable: Whether the photo of a row can be shown.
        part: Draw from this part of the split alone; all but `test` if None.
        seed: Of the draw.

    Raises:
        ValueError: There is no such part, or no image to draw.
    """

    def __init__(
        self,
        table: LabelTable,
        decisions: DecisionLog,
        wanted: int,
        readable: Callable[[int], bool] = lambda row: True,
        part: str | None = None,
        seed: int = 0,
    ) -> None:
        self.table, self.decisions, self.readable = table, decisions, readable
        self._rows = {image: row for row, image in enumerate(table.images)}
        self._known = (table.labels != UNKNOWN).all(axis=1)
        self._broken: dict[int, bool] = {}
        self._lock = threading.RLock()
        self.order = draw(table, part, seed)
        self.wanted = min(wanted, len(self.order))

    def next(self, desk: str) -> Photo | None:
        """The photo that a desk is to answer now: the one it has, or the next of the draw that nobody has.

        Returns:
            None where there is nothing left to draw, or others have what is left.
        """

        def choose(others: frozenset[Cell], own: Cell | None) -> Cell | None:
            open_ = [Cell(self.table.images[row], WHOLE) for row in waiting]
            if own is not None and own in open_:
                return own
            return next((cell for cell in open_ if cell not in others), None)

        with self._lock:
            waiting = self._waiting(desk)
            cell = self.decisions.claim(desk, choose, LEASE)
            return None if cell is None else self._photo(cell.image)

    def answer(self, desk: str, who: str, ask: str, row: int, given: Mapping[str, Answer]) -> bool:
        """Write all answers of a photo down.

        Args:
            desk: Where they were given.
            who: The person there.
            ask: Of the photo as it was shown.
            row: The photo.
            given: An answer for each class; `skip` where the person cannot tell.

        Returns:
            Whether they are new.

        Raises:
            KeyError: There is no such photo in the draw.
            ValueError: A class has no answer, or no class is called so.
        """
        image = self._image(row)
        if lacking := [name for name in self.table.classes if name not in given]:
            raise ValueError(f"{len(lacking)} of {len(self.table.classes)} tags have no answer yet")
        if len(given) != len(self.table.classes):
            raise ValueError("an answer is about a class that the table does not have")
        return self.decisions.add_sheet(ask, desk, who, image, "complete", given)

    def skip(self, desk: str, who: str, ask: str, row: int) -> bool:
        """Replace a photo that a person cannot answer by the next of the draw.

        Raises:
            KeyError: There is no such photo in the draw.
        """
        return self.decisions.add_sheet(ask, desk, who, self._image(row), "skip")

    def undo(self, desk: str, who: str) -> tuple[Sheet, Photo | None] | None:
        """Take a desk's last photo back, and show it again.

        Returns:
            What was taken back, and the photo unless somebody else has it by now; None if there was nothing.
        """
        with self._lock:
            sheet = self.decisions.undo_sheet(desk, who)
            if sheet is None or sheet.image not in self._rows:
                return None
            cell = Cell(sheet.image, WHOLE)
            claimed = self.decisions.claim(desk, lambda others, own: None if cell in others else cell, LEASE)
            return sheet, None if claimed is None else self._photo(sheet.image)

    def given(self, sheet: Sheet) -> dict[str, str]:
        """The answers of a sheet, also of one that was taken back."""
        return {
            event.cls: event.what
            for event in self.decisions.since()
            if event.sheet == sheet.id and event.what != "undo"
        }

    def progress(self) -> SheetProgress:
        """How far it is."""
        with self._lock:
            drawn, skipped = self._drawn()
            people: dict[str, int] = {}
            for sheet in drawn.values():
                if sheet.outcome == "complete":
                    people[sheet.who] = people.get(sheet.who, 0) + 1
            known = sum(sheet.outcome == "known" for sheet in drawn.values())
            most_first = dict(sorted(people.items(), key=lambda item: (-item[1], item[0])))
            broken = sum(self._broken.values())
            return SheetProgress(len(drawn), self.wanted, known, len(skipped), broken, most_first)

    def _waiting(self, desk: str) -> list[int]:
        """Rows that are drawn and not answered, in their order; images that are known already are written down."""
        drawn, skipped = self._drawn()
        waiting: list[int] = []
        left = self.wanted - len(drawn)
        for row in self.order:
            image = self.table.images[row]
            if len(waiting) >= left:
                break
            if image in drawn or image in skipped:
                continue
            if self._known[row]:
                self.decisions.add_sheet(f"known:{image}", desk, "the table", image, "known")
                left -= 1
            elif not self._is_broken(row):
                waiting.append(row)
        return waiting

    def _drawn(self) -> tuple[dict[str, Sheet], set[str]]:
        """By image, what is complete; and what was skipped by somebody and answered by nobody."""
        sheets = [sheet for sheet in self.decisions.sheets() if sheet.image in self._rows]
        drawn = {sheet.image: sheet for sheet in sheets if sheet.outcome != "skip"}
        return drawn, {sheet.image for sheet in sheets} - drawn.keys()

    def _is_broken(self, row: int) -> bool:
        if row not in self._broken:
            self._broken[row] = not self.readable(row)
        return self._broken[row]

    def _image(self, row: int) -> str:
        if not 0 <= row < len(self.table) or row not in self.order:
            raise KeyError(f"there is no photo in row {row} of the draw")
        return self.table.images[row]

    def _photo(self, image: str) -> Photo:
        return Photo(new_name(), self._rows[image], image)


def draw(table: LabelTable, part: str | None, seed: int) -> list[int]:
    """All rows that take part, in the order in which they are drawn.

    Args:
        table: The images.
        part: Draw from this part of the split alone; all but `test` if None.
        seed: Of the draw.

    Raises:
        ValueError: There is no such part, or no image.
    """
    inside = np.ones(len(table), bool)
    if part is not None:
        members = set(table.part(part).images)
        inside = np.array([image in members for image in table.images])
    elif table.split is not None:
        inside = np.array([name != HELD_BACK for name in table.split])
    if not inside.any():
        raise ValueError(
            f"all images are in the part {HELD_BACK!r}, which is kept for the final score: name it with --part "
            f"{HELD_BACK} to draw from it all the same"
        )

    def key(row: int) -> bytes:
        return blake2b(f"{seed}\n{table.images[row]}".encode(), digest_size=16).digest()

    return sorted(np.flatnonzero(inside).tolist(), key=key)


def complete(decisions: DecisionLog) -> frozenset[str]:
    """The images of the calibration set: drawn at random, and every class answered or known."""
    return frozenset(sheet.image for sheet in decisions.sheets() if sheet.outcome != "skip")
