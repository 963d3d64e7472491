"""Columns and cells of a wide table, read in blocks of rows."""

import warnings
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from partlabel.core.fixes import InputError, InputWarning, ReaderArgument
from partlabel.core.labels import PRESENT
from partlabel.core.messages import some
from partlabel.data.readers import _columns, _image_column, _roles
from partlabel.data.readers._codes import WRONG, MinusOne, codes, codes_of
from partlabel.data.readers._text_columns import text_columns
from partlabel.data.readers._wrong_cells import Columns, wrong_cells
from partlabel.data.tables.provenance import MOST, Origins
from partlabel.data.tables.validation import CALIBRATION, COMPANIONS, SOURCE


class WideLayout(NamedTuple):
    """Roles of a file's columns, by position.

    Attributes:
        path: Table file.
        names: Names of all columns.
        image: Column of image paths.
        split: Column of parts, if there is one.
        classes: Class columns.
        row_numbers: Columns left out because they number the rows.
        left_out: Other columns that are not classes.
        separator: Separator between the cells of the file.
        minus_one: Meaning of -1; None if not given.
        sources: Column with the origins of a class's labels, by the position of the class among the classes.
        numbers: Number of each origin found so far.
        calibration: Column that marks the images of the calibration set, if there is one.
        texts: Columns of texts about the images.
    """

    path: Path
    names: list[str]
    image: int
    split: _roles.Split | None
    classes: list[int]
    row_numbers: list[int]
    left_out: list[int]
    separator: str | None
    minus_one: MinusOne | None
    sources: dict[int, int]
    numbers: dict[str, int]
    calibration: int | None = None
    texts: Sequence[int] = ()

    @classmethod
    def of(
        cls,
        path: Path,
        images: Path | None = None,
        image_column: str | None = None,
        separator: str | None = None,
        leave_out: Sequence[str] = (),
        split_column: str | None = None,
        minus_one: MinusOne | None = None,
    ) -> "WideLayout":
        """Assign roles to the columns by their names, and by their cells if names do not decide."""
        names = _columns.header(path, separator)
        place = {name: position for position, name in enumerate(names)}
        image = _image_column.image_column(path, names, image_column, separator, images)
        split = _roles.split_column(path, names, split_column, separator)
        left_out = [_columns.column_at(path, names, name) for name in leave_out]
        marks = names.index(CALIBRATION) if CALIBRATION in names else None
        known = {image, *left_out, *([split.at] if split else []), *([] if marks is None else [marks])}
        numbering = _roles.row_numbers(
            path, [at for at in range(len(names)) if at not in known], names, separator
        )
        left_out += [at for at in range(len(names)) if at not in known and _is_companion(names[at], place)]
        known |= {*left_out, *numbering}
        texts = text_columns(path, names, [at for at in range(len(names)) if at not in known], separator)
        known |= {*texts}
        classes = [at for at in range(len(names)) if at not in known]
        positions = [place.get(f"{names[position]}{SOURCE}") for position in classes]
        sources = {position: column for position, column in enumerate(positions) if column is not None}
        marks = None if marks in left_out else marks
        return cls(
            path,
            names,
            image,
            split,
            classes,
            numbering,
            left_out,
            separator,
            minus_one,
            sources,
            {"": 0},
            marks,
            texts,
        )

    @property
    def class_names(self) -> list[str]:
        """Names of the class columns."""
        return [self.names[at] for at in self.classes]

    def origins(self, codes: np.ndarray) -> Origins:
        """Return the origins of the labels."""
        return Origins.of_numbers(codes, list(self.numbers))

    def warn(self) -> None:
        """Warn about columns left out as row numbers, and about classes with names of metadata."""
        if self.row_numbers:
            shown = some(repr(self.names[at]) for at in self.row_numbers)
            warnings.warn(
                f"{self.path}: column {shown} only numbers the rows or is empty, so it is left out",
                stacklevel=6,
            )
        odd = [name for name in self.class_names if _roles.plain(name) in _roles.METADATA]
        if odd:
            warnings.warn(
                InputWarning(
                    f"{self.path}: read as a class, although its name is unusual for one: column "
                    f"{some(map(repr, odd))}. If it is not a class, give ",
                    ReaderArgument("leave_out", [*self._already_out(), *odd]),
                ),
                stacklevel=6,
            )

    def _already_out(self) -> list[str]:
        names = set(self.names)
        return [self.names[at] for at in self.left_out if not _is_companion(self.names[at], names)]

    def _checked(self) -> Columns:
        already_out = self._already_out()
        return Columns(
            self.path, self.names, self.image, self.classes, self.separator, self.minus_one, already_out
        )

    def blocks(self) -> Iterator["Block"]:
        """Yield the file in blocks of rows.

        Raises:
            ValueError: Cells are not labels; the message names all columns that are not classes, and the first wrong
                cells.
        """
        split = [self.split.at] if self.split else []
        marked = [] if self.calibration is None else [self.calibration]
        wanted = [self.image, *split, *self.classes, *self.sources.values(), *marked, *self.texts]
        first = 1 + len(split)
        last = first + len(self.classes)
        rows = 0
        for found in _columns.blocks(self.path, wanted, self.names, self.separator):
            columns = list(found)
            listed, *parts = (_columns.strings(column) for column in columns[:first])
            texts = [_columns.strings(columns.pop()) for _ in self.texts][::-1]
            labels = codes_of(columns[first:last], self.minus_one)
            if not self.classes:
                labels = np.empty((0, len(listed)), np.int8)
            if labels.min(initial=0) == WRONG:
                raise wrong_cells(self._checked())
            marks = self._marks(listed, columns.pop(), rows) if marked else []
            rows += len(listed)
            source_codes = self._codes_of(columns[last:], len(listed)) if self.sources else None
            in_parts = [self.split.part(cell) for cell in parts[0]] if self.split else []
            yield Block(
                listed,
                in_parts,
                np.ascontiguousarray(labels.T),
                source_codes,
                marks,
                [*zip(*texts, strict=True)],
            )

    def _marks(self, images: Sequence[str], column: Any, before: int) -> list[bool]:
        """Return which images are in the calibration set.

        Raises:
            ValueError: A cell is not 1, 0 or empty.
        """
        found = codes(column)
        wrong = np.flatnonzero(found == WRONG)
        if len(wrong):
            at = int(wrong[0])
            raise InputError(
                f"{self.path}: column {CALIBRATION!r} marks images of the calibration set by 1, and has "
                f"{str(column[at])!r} in row {before + at + 1} ({images[at]}). Write 1 or 0, or leave the "
                "column out with ",
                ReaderArgument("leave_out", [CALIBRATION]),
            )
        return (found == PRESENT).tolist()

    def _codes_of(self, columns: Sequence[Any], rows: int) -> np.ndarray:
        """Return the origins of the labels of some rows as numbers of the layout, which grow with new names."""
        found = np.zeros((len(self.classes), rows), np.uint8)
        for position, column in zip(self.sources, columns, strict=True):
            words = column.cast(pa.string()).fill_null("").dictionary_encode()
            names = [name.strip() for name in words.dictionary.to_pylist()]
            numbers = [self.numbers.setdefault(name, len(self.numbers)) for name in names]
            if len(self.numbers) > MOST + 1:
                raise ValueError(
                    f"column {self.names[self.sources[position]]!r}: labels have more than {MOST} origins; merge "
                    "some, or remove the columns that end in :source"
                )
            found[position] = np.array(numbers or [0], np.uint8)[words.indices.to_numpy()]
        return np.ascontiguousarray(found.T)


class Block(NamedTuple):
    """Rows of the file."""

    images: list[str]
    split: list[str]
    labels: np.ndarray
    codes: np.ndarray | None = None
    marks: Sequence[bool] = ()
    texts: Sequence[tuple[str, ...]] = ()

    def part(self, rows: slice) -> "Block":
        """Return some of the rows."""
        codes = None if self.codes is None else self.codes[rows]
        rest = self.marks[rows], self.texts[rows]
        return Block(self.images[rows], self.split[rows], self.labels[rows], codes, *rest)

    def joined(self, other: "Block") -> "Block":
        """Append the rows of another block."""
        labels = np.concatenate([self.labels, other.labels])
        codes = None
        if self.codes is not None and other.codes is not None:
            codes = np.concatenate([self.codes, other.codes])
        rest = [*self.marks, *other.marks], [*self.texts, *other.texts]
        return Block(self.images + other.images, self.split + other.split, labels, codes, *rest)


def _is_companion(name: str, names: Container[str]) -> bool:
    """Return whether a column accompanies a class in a filled table."""
    stem, colon, _ = name.rpartition(":")
    return name.endswith(COMPANIONS) and bool(colon) and stem in names
