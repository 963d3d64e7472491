"""The columns and cells of a wide table, some rows at a time, and what to say of cells that are no labels."""

import warnings
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from partlabel.core.fixes import InputError, InputWarning, ReaderArgument
from partlabel.core.labels import PRESENT
from partlabel.core.messages import some
from partlabel.data.readers import _columns, _roles
from partlabel.data.readers._codes import MINUS_ONE, WRONG, MinusOne, codes
from partlabel.data.tables.provenance import MOST, Origins
from partlabel.data.tables.validation import CALIBRATION, COMPANIONS, SOURCE

MOST_NAMED = 30
"""Columns that a message names; more are no columns that somebody forgot to leave out."""
_WORDS = (
    "yes",
    "no",
    "y",
    "n",
    "t",
    "f",
    "x",
    "+",
    "present",
    "absent",
    "positive",
    "negative",
    "?",
    "unsure",
)


class WideLayout(NamedTuple):
    """Which columns of a file are what, by position.

    Attributes:
        path: The file.
        names: Of all columns.
        image: The column of image paths.
        split: The column of parts, if there is one.
        classes: The columns that are classes.
        row_numbers: The columns left out because they number the rows.
        left_out: The other columns that are no classes.
        separator: Between the cells of the file.
        minus_one: What -1 means; None if nobody said.
        sources: The column that says where a class's labels come from, by the class's place among the classes.
        numbers: The names that were met there so far.
        calibration: The column that marks the images of the calibration set, if there is one.
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
        """Find what the columns are by their names, and by their cells where names do not tell."""
        names = _columns.header(path, separator)
        place = {name: position for position, name in enumerate(names)}
        image = _roles.image_column(path, names, image_column, separator, images)
        split = _roles.split_column(path, names, split_column, separator)
        left_out = [_columns.column_at(path, names, name) for name in leave_out]
        marks = names.index(CALIBRATION) if CALIBRATION in names else None
        known = {image, *left_out, *([split.at] if split else []), *([] if marks is None else [marks])}
        numbering = _roles.row_numbers(
            path, [at for at in range(len(names)) if at not in known], names, separator
        )
        left_out += [at for at in range(len(names)) if at not in known and _is_companion(names[at], place)]
        known |= {*left_out, *numbering}
        classes = [at for at in range(len(names)) if at not in known]
        said = [place.get(f"{names[position]}{SOURCE}") for position in classes]
        sources = {position: column for position, column in enumerate(said) if column is not None}
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
        )

    @property
    def class_names(self) -> list[str]:
        """The names of the columns that are classes."""
        return [self.names[at] for at in self.classes]

    def origins(self, codes: np.ndarray) -> Origins:
        """Return where labels come from."""
        return Origins.of_numbers(codes, list(self.numbers))

    def warn(self) -> None:
        """Say which columns were left out as row numbers, and which classes have the name of something else."""
        if self.row_numbers:
            shown = some(repr(self.names[at]) for at in self.row_numbers)
            warnings.warn(
                f"{self.path}: column {shown} only numbers the rows or is blank, so it is left out",
                stacklevel=6,
            )
        odd = [name for name in self.class_names if _roles.plain(name) in _roles.METADATA]
        if odd:
            warnings.warn(
                InputWarning(
                    f"{self.path}: read as a class for want of anything else: column {some(map(repr, odd))}. If it is "
                    "no class, give ",
                    ReaderArgument("leave_out", [*self._already_out(), *odd]),
                ),
                stacklevel=6,
            )

    def _already_out(self) -> list[str]:
        return [self.names[at] for at in self.left_out if not _is_companion(self.names[at], set(self.names))]

    def blocks(self) -> Iterator["Block"]:
        """The file, some rows at a time.

        Raises:
            ValueError: Cells are no labels; the message names all columns that are no classes, and the first cells.
        """
        split = [self.split.at] if self.split else []
        marked = [] if self.calibration is None else [self.calibration]
        wanted = [self.image, *split, *self.classes, *self.sources.values(), *marked]
        first = 1 + len(split)
        last = first + len(self.classes)
        for found in _columns.blocks(self.path, wanted, self.names, self.separator):
            columns = list(found)
            listed, *parts = (_columns.strings(column) for column in columns[:first])
            labels = np.empty((len(self.classes), len(listed)), np.int8)
            for position, column in enumerate(columns[first:last]):
                labels[position] = codes(column, self.minus_one)
            if labels.min(initial=0) == WRONG:
                raise _wrong_cells(self)
            marks = self._marks(listed, columns.pop()) if marked else []
            said = self._codes_of(columns[last:], len(listed)) if self.sources else None
            in_parts = [self.split.part(cell) for cell in parts[0]] if self.split else []
            yield Block(listed, in_parts, np.ascontiguousarray(labels.T), said, marks)

    def _marks(self, images: Sequence[str], column: Any) -> list[bool]:
        """Read which images are of the calibration set.

        Raises:
            ValueError: A cell is not 1, 0 or blank.
        """
        found = codes(column)
        wrong = np.flatnonzero(found == WRONG)
        if len(wrong):
            at = int(wrong[0])
            raise InputError(
                f"{self.path}: column {CALIBRATION!r} marks images of the calibration set by 1, and has "
                f"{str(column[at])!r} for {images[at]}. Write 1 or 0, or leave the column out with ",
                ReaderArgument("leave_out", [CALIBRATION]),
            )
        return (found == PRESENT).tolist()

    def _codes_of(self, columns: Sequence[Any], rows: int) -> np.ndarray:
        """Where the labels of some rows come from, in the layout's numbers, of which there may be more after."""
        found = np.zeros((len(self.classes), rows), np.uint8)
        for position, column in zip(self.sources, columns, strict=True):
            words = column.cast(pa.string()).fill_null("").dictionary_encode()
            names = [name.strip() for name in words.dictionary.to_pylist()]
            numbers = [self.numbers.setdefault(name, len(self.numbers)) for name in names]
            if len(self.numbers) > MOST + 1:
                raise ValueError(
                    f"column {self.names[self.sources[position]]!r}: labels come from more than {MOST} origins; merge "
                    "some, or take the columns out that end in :source"
                )
            found[position] = np.array(numbers or [0], np.uint8)[words.indices.to_numpy()]
        return np.ascontiguousarray(found.T)


class Block(NamedTuple):
    """Some rows of the file."""

    images: list[str]
    split: list[str]
    labels: np.ndarray
    codes: np.ndarray | None = None
    marks: Sequence[bool] = ()

    def part(self, rows: slice) -> "Block":
        """Some of the rows."""
        codes = None if self.codes is None else self.codes[rows]
        return Block(self.images[rows], self.split[rows], self.labels[rows], codes, self.marks[rows])

    def joined(self, other: "Block") -> "Block":
        """These rows, and then the others."""
        labels = np.concatenate([self.labels, other.labels])
        codes = None
        if self.codes is not None and other.codes is not None:
            codes = np.concatenate([self.codes, other.codes])
        marks = [*self.marks, *other.marks]
        return Block(self.images + other.images, self.split + other.split, labels, codes, marks)


def _is_companion(name: str, names: Container[str]) -> bool:
    """Whether a column is the companion of a class in a filled table."""
    stem, colon, _ = name.rpartition(":")
    return name.endswith(COMPANIONS) and bool(colon) and stem in names


class _Wrong(NamedTuple):
    """The cells of a class that are no labels."""

    name: str
    number: int
    rows: int
    first: list[tuple[str, str]]
    only_minus_one: bool

    @property
    def is_no_class(self) -> bool:
        """Whether most cells are no labels, and not because of -1 or of yes and no."""
        if _roles.plain(self.name) in _roles.METADATA:
            return True
        words = all(cell.strip().lower() in _WORDS for _, cell in self.first)
        return self.number > self.rows / 2 and not self.only_minus_one and not words

    def shown(self, most: int = 3) -> str:
        """The first cells."""
        more = self.number - most
        cells = (f"{place}: {cell!r}" for place, cell in self.first[:most])
        return ", ".join(cells) + (f" and {more} more" if more > 0 else "")


def _wrong_cells(layout: WideLayout) -> InputError:
    """Say which cells are no labels: the file is read again, for all columns that are no classes are named at once."""
    wrong = _find_wrong(layout)
    no_classes = [each for each in wrong if each.is_no_class]
    rest = [each for each in wrong if not each.is_no_class]
    said: list[object] = [f"{layout.path}: "]
    if no_classes:
        said += _of_columns(layout, no_classes)
    if rest:
        said += [". Besides, " if no_classes else "", *_of_cells(rest)]
    return InputError(*said)


def _find_wrong(layout: WideLayout) -> list[_Wrong]:
    """Of every class, the cells that are no labels."""
    number = np.zeros(len(layout.classes), int)
    others = np.zeros(len(layout.classes), int)
    first: list[list[tuple[str, str]]] = [[] for _ in layout.classes]
    row = 0
    for images, *columns in _columns.blocks(
        layout.path, [layout.image, *layout.classes], layout.names, layout.separator
    ):
        for position, column in enumerate(columns):
            wrong = np.flatnonzero(codes(column, layout.minus_one) == WRONG)
            if not len(wrong):
                continue
            number[position] += len(wrong)
            others[position] += int((codes(column, "unknown") == WRONG).sum())
            for at in wrong[: 3 - len(first[position])].tolist():
                first[position].append((f"row {row + at + 1} ({images[at]})", str(column[at])))
        row += len(images)
    return [
        _Wrong(name, int(number[at]), row, first[at], not others[at])
        for at, name in enumerate(layout.class_names)
        if number[at]
    ]


def _of_columns(layout: WideLayout, wrong: Sequence[_Wrong]) -> list[object]:
    """Columns that hold no labels: what to do if they are no classes, or hold the names of classes."""
    names = [each.name for each in wrong]
    one = len(names) == 1
    first = some((f"{each.name!r} {each.first[0][1]!r}" for each in wrong), most=3)
    listed = " and ".join(map(repr, names)) if len(names) < MOST_NAMED else some(map(repr, names))
    told: list[object] = [
        f"column{'' if one else 's'} {listed} hold{'s' if one else ''} no labels, such as {first}. If "
        f"{'it is no class, leave it' if one else 'they are no classes, leave them'} out with ",
        ReaderArgument(
            "leave_out", [*layout._already_out(), *names] if len(names) < MOST_NAMED else None, "'[...]'"
        ),
    ]
    texts = [each.name for each in wrong if not all(_is_number(cell) for _, cell in each.first)]
    if texts and len(wrong) == len(layout.classes):
        told += [
            f"; if {'a column' if len(texts) > 1 else 'it'} lists class names, give ",
            ReaderArgument("labels_column", texts[0], format="long_csv"),
        ]
    return told


def _of_cells(wrong: Sequence[_Wrong]) -> list[object]:
    """Cells of classes that are no labels, and what -1 may mean."""
    first = wrong[0]
    told: list[object] = [
        f"class {first.name!r} has {first.number} cell(s) that are no label: {first.shown()}"
        f"{f' (and so have {len(wrong) - 1} more classes)' if len(wrong) > 1 else ''}. Write 1 (present), "
        "0 (absent) or nothing (unknown); true, false and NaN do too"
    ]
    if any(cell.strip() in MINUS_ONE for each in wrong for _, cell in each.first):
        told += [
            ". -1 means absent to some and unknown to others, so it is not guessed: give ",
            ReaderArgument("minus_one", "unknown"),
            " (nobody is sure, as in CheXpert) or ",
            ReaderArgument("minus_one", "absent"),
            " (as in CelebA)",
        ]
    return told


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
