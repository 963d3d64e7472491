"""Error messages for cells of a wide table that are not labels: which columns and cells, and how to fix them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from partlabel.core.fixes import InputError, ReaderArgument
from partlabel.core.messages import some
from partlabel.data.readers import _columns, _roles
from partlabel.data.readers._codes import MINUS_ONE, WRONG, MinusOne, codes_of

MOST_NAMED = 30
"""Columns that a message names; if there are more, the user did not just forget to leave some out."""
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


class Columns(NamedTuple):
    """Columns of the table to check.

    Attributes:
        path: The table.
        names: Names of all its columns.
        image: Position of the column of image paths.
        classes: Positions of the class columns.
        separator: Separator between the cells of a CSV; the format's own if None.
        minus_one: Meaning of -1; not a label if None.
        left_out: Names of the columns already left out, repeated in the suggested fix.
    """

    path: Path
    names: Sequence[str]
    image: int
    classes: Sequence[int]
    separator: str | None
    minus_one: MinusOne | None
    left_out: Sequence[str]


class _Wrong(NamedTuple):
    """Cells of a class that are not labels."""

    name: str
    number: int
    rows: int
    first: list[tuple[str, str]]
    only_minus_one: bool

    @property
    def is_no_class(self) -> bool:
        """Whether most cells are not labels, for another reason than -1 or yes and no."""
        if _roles.plain(self.name) in _roles.METADATA:
            return True
        words = all(cell.strip().lower() in _WORDS for _, cell in self.first)
        return self.number > self.rows / 2 and not self.only_minus_one and not words

    def shown(self, most: int = 3) -> str:
        """List the first cells."""
        more = self.number - most
        cells = (f"{place}: {cell!r}" for place, cell in self.first[:most])
        return ", ".join(cells) + (f" and {more} more" if more > 0 else "")


def wrong_cells(table: Columns) -> InputError:
    """Return the error for cells that are not labels; it names all columns that are not classes at once.

    Reads the file again, because the first block with a wrong cell does not show all such columns.
    """
    wrong = _find_wrong(table)
    no_classes = [each for each in wrong if each.is_no_class]
    rest = [each for each in wrong if not each.is_no_class]
    pieces: list[object] = [f"{table.path}: "]
    if no_classes:
        pieces += _about_columns(table, no_classes)
    if rest:
        pieces += [". In addition, " if no_classes else "", *_about_cells(rest)]
    return InputError(*pieces)


def _find_wrong(table: Columns) -> list[_Wrong]:
    """Find the cells of each class that are not labels."""
    number = np.zeros(len(table.classes), int)
    others = np.zeros(len(table.classes), int)
    first: list[list[tuple[str, str]]] = [[] for _ in table.classes]
    row = 0
    wanted = [table.image, *table.classes]
    for images, *columns in _columns.blocks(table.path, wanted, table.names, table.separator):
        wrong = codes_of(columns, table.minus_one) == WRONG
        number += wrong.sum(axis=1)
        others += (codes_of(columns, "unknown") == WRONG).sum(axis=1)
        for position in np.flatnonzero(wrong.any(axis=1)).tolist():
            for at in np.flatnonzero(wrong[position])[: 3 - len(first[position])].tolist():
                first[position].append((f"row {row + at + 1} ({images[at]})", str(columns[position][at])))
        row += len(images)
    return [
        _Wrong(table.names[at], int(number[place]), row, first[place], not others[place])
        for place, at in enumerate(table.classes)
        if number[place]
    ]


def _about_columns(table: Columns, wrong: Sequence[_Wrong]) -> list[object]:
    """Describe columns without labels, and the fix if they are not classes or hold class names."""
    names = [each.name for each in wrong]
    one = len(names) == 1
    first = some((f"{each.name!r} {each.first[0][1]!r}" for each in wrong), most=3)
    listed = " and ".join(map(repr, names)) if len(names) < MOST_NAMED else some(map(repr, names))
    left_out = [*table.left_out, *names] if len(names) < MOST_NAMED else None
    pieces: list[object] = [
        f"column{'' if one else 's'} {listed} hold{'s' if one else ''} no labels, such as {first}. If "
        f"{'it is not a class, leave it' if one else 'they are not classes, leave them'} out with ",
        ReaderArgument("leave_out", left_out, "'[...]'"),
    ]
    texts = [each.name for each in wrong if not all(_is_number(cell) for _, cell in each.first)]
    if texts and len(wrong) == len(table.classes):
        pieces += [
            f"; if {'a column' if len(texts) > 1 else 'it'} lists class names, give ",
            ReaderArgument("labels_column", texts[0], format="long_csv"),
        ]
    return pieces


def _about_cells(wrong: Sequence[_Wrong]) -> list[object]:
    """Describe cells of classes that are not labels, and the possible meanings of -1."""
    first = wrong[0]
    pieces: list[object] = [
        f"class {first.name!r} has {first.number} cell(s) that are not labels: {first.shown()}"
        f"{f' (and so have {len(wrong) - 1} more classes)' if len(wrong) > 1 else ''}. Write 1 (present), "
        "0 (absent) or leave the cell empty (unknown); true, false and NaN are accepted too"
    ]
    if any(cell.strip() in MINUS_ONE for each in wrong for _, cell in each.first):
        pieces += [
            ". -1 means absent in some tables and unknown in others, so it is not guessed: give ",
            ReaderArgument("minus_one", "unknown"),
            " (uncertain, as in CheXpert) or ",
            ReaderArgument("minus_one", "absent"),
            " (as in CelebA)",
        ]
    return pieces


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
