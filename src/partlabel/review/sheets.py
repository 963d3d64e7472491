"""Calibration set: images drawn at random, with an answer for every class.

Labels chosen in any other way, including by `ordering.py`, are not a random sample, and probabilities calibrated on
them are wrong on the remaining images. About 40 images that were drawn at random and labelled completely are enough to
calibrate.

The draw is uniform over all images that take part: they are sorted by a hash of the seed and their name, and the first
ones are taken. It is the same for everyone, after a restart, and after other images were added. An image whose labels
are all known in the table counts without being shown; an image that a person could not answer, or that cannot be read,
is replaced by the next one. Replaced images bias the sample slightly, so they are counted.
"""

import threading
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from partlabel.core.labels import UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.part_names import TEST
from partlabel.review.decisions import DecisionLog, new_name
from partlabel.review.events import Answer, Cell, Sheet

WHOLE = ""
"""Class name of a lease on all classes of an image."""
LEASE = 900.0
"""Duration of a lease on an image in seconds."""


class Photo(NamedTuple):
    """An image to answer.

    Attributes:
        ask: Id of the image as it is shown this time.
        row: Row in the table.
        image: Image name in the table.
    """

    ask: str
    row: int
    image: str


class SheetProgress(NamedTuple):
    """Progress of a calibration set.

    Attributes:
        done: Number of images for which every class was answered or known.
        wanted: Number of images requested, or of all images if there are fewer.
        known: Number of `done` images whose labels were all known in the table.
        skipped: Number of images that were replaced because a person could not answer them.
        unreadable: Number of images that were replaced because they cannot be read.
        people: Number of images answered by person, largest number first.
    """

    done: int
    wanted: int
    known: int
    skipped: int
    unreadable: int
    people: dict[str, int]


class Sheets:
    """The images of a calibration set, for any number of desks (browser sessions) at once.

    Args:
        table: Label table from which images are drawn.
        decisions: Log of decisions.
        wanted: Number of images.
        readable: Function that tells whether the image of a row can be shown.
        part: Part of the split to draw from; all but `test`, which is reserved for the final evaluation, if None.
        seed: Random seed of the draw.

    Raises:
        ValueError: The table has no such part, or there is no image to draw.
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
        """Return the current image of a desk: the one it has, or the next drawn one that is not leased.

        Returns:
            The image; None if nothing is left to draw, or others have what is left.
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
        """Record all answers of an image.

        Args:
            desk: Browser session.
            who: Name of the person.
            ask: Id of the image as it was shown.
            row: Row of the image.
            given: One answer per class; `skip` if the person cannot tell.

        Returns:
            Whether the answers are new.

        Raises:
            KeyError: No such image was drawn.
            ValueError: A class has no answer, or an answer is about an unknown class.
        """
        image = self._image(row)
        if lacking := [name for name in self.table.classes if name not in given]:
            raise ValueError(f"{len(lacking)} of {len(self.table.classes)} tags have no answer yet")
        if len(given) != len(self.table.classes):
            raise ValueError("an answer is about a class that is not in the table")
        return self.decisions.add_sheet(ask, desk, who, image, "complete", given)

    def skip(self, desk: str, who: str, ask: str, row: int) -> bool:
        """Replace an image that a person cannot answer by the next one of the draw.

        Raises:
            KeyError: No such image was drawn.
        """
        return self.decisions.add_sheet(ask, desk, who, self._image(row), "skip")

    def undo(self, desk: str, who: str) -> tuple[Sheet, Photo | None] | None:
        """Undo a desk's last image, and show it again.

        Returns:
            The undone sheet, and the image unless someone else has it by now; None if there was nothing to undo.
        """
        with self._lock:
            sheet = self.decisions.undo_sheet(desk, who)
            if sheet is None or sheet.image not in self._rows:
                return None
            cell = Cell(sheet.image, WHOLE)
            claimed = self.decisions.claim(desk, lambda others, own: None if cell in others else cell, LEASE)
            return sheet, None if claimed is None else self._photo(sheet.image)

    def given(self, sheet: Sheet) -> dict[str, str]:
        """Return the answers of a sheet, including one that is undone."""
        return {
            event.cls: event.what
            for event in self.decisions.since()
            if event.sheet == sheet.id and event.what != "undo"
        }

    def progress(self) -> SheetProgress:
        """Compute the progress."""
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
        """Select rows that are drawn and not answered, in order, and record those whose labels are all known."""
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
        """Return complete sheets by image, and the images that were skipped and not answered since."""
        sheets = [sheet for sheet in self.decisions.sheets() if sheet.image in self._rows]
        drawn = {sheet.image: sheet for sheet in sheets if sheet.outcome != "skip"}
        return drawn, {sheet.image for sheet in sheets} - drawn.keys()

    def _is_broken(self, row: int) -> bool:
        if row not in self._broken:
            self._broken[row] = not self.readable(row)
        return self._broken[row]

    def _image(self, row: int) -> str:
        if not 0 <= row < len(self.table) or row not in self.order:
            raise KeyError(f"no photo of row {row} was drawn")
        return self.table.images[row]

    def _photo(self, image: str) -> Photo:
        return Photo(new_name(), self._rows[image], image)


def draw(table: LabelTable, part: str | None, seed: int) -> list[int]:
    """Return all rows that take part, in the order of the draw.

    Args:
        table: Label table.
        part: Part of the split to draw from; all but `test` if None.
        seed: Random seed of the draw.

    Raises:
        ValueError: The table has no such part, or there is no image.
    """
    inside = np.ones(len(table), bool)
    if part is not None:
        members = set(table.part(part).images)
        inside = np.array([image in members for image in table.images])
    elif table.split is not None:
        inside = np.array([name != TEST for name in table.split])
    if not inside.any():
        raise ValueError(
            f"all images are in the part {TEST!r}, which is reserved for the final evaluation: give --part "
            f"{TEST} to draw from it anyway"
        )

    def key(row: int) -> bytes:
        return blake2b(f"{seed}\n{table.images[row]}".encode(), digest_size=16).digest()

    return sorted(np.flatnonzero(inside).tolist(), key=key)


def complete(decisions: DecisionLog) -> frozenset[str]:
    """Return the images of the calibration set: drawn at random, with every class answered or known."""
    return frozenset(sheet.image for sheet in decisions.sheets() if sheet.outcome != "skip")
