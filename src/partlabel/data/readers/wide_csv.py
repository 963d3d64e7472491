"""Wide CSV, TSV and parquet: one row an image, one column a class; 1 / 0 / blank, true / false, NaN.

The format `LabelTable.save` writes. A filled table (`FilledTable.save`) is read too: its `<class>:p` columns are left
out, so filled labels become known ones. Columns `<class>:source` say where known labels come from. A column
`calibration` is no class: it is 1 for the images of the calibration set.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from partlabel.codes import ABSENT, PRESENT, UNKNOWN
from partlabel.data.checks import CALIBRATION, COMPANIONS, SOURCE
from partlabel.data.origins import MOST, Origins
from partlabel.data.readers import _columns
from partlabel.data.readers._build import build
from partlabel.data.table import Absent, LabelTable
from partlabel.text import some

_CODES = {"1": PRESENT, "1.0": PRESENT, "true": PRESENT, "0": ABSENT, "0.0": ABSENT, "false": ABSENT}
_CODES |= dict.fromkeys(("", "nan", "na", "null"), UNKNOWN)
_WRONG = -128
_MARKS = f"{CALIBRATION}:marks"
"""Name of the column `calibration` while it is read along with the classes."""
_USUAL = pa.array(list(_CODES))
_MEANING = np.array([*_CODES.values(), _WRONG], np.int8)
ABSENCE = {
    "unknown": "absent is a cell of 0 (or false); a blank is unknown",
    "negative": "absent is a cell of 0 (or false), and every blank",
}


def recognises(path: Path) -> bool:
    """A CSV, TSV or parquet file whose `labels` column, if there is one, holds codes and not class names."""
    if not path.is_file() or path.suffix not in _columns.TABLES:
        return False
    if _columns.is_open_images(path) or _columns.is_hub(path):
        return False
    names = _columns.header(path)
    if "labels" not in names:
        return True
    column = _columns.columns(path, [names.index("labels")], names)[0]
    return bool((codes(column) != _WRONG).all())


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    image_column: str | None = None,
    separator: str | None = None,
    leave_out: Sequence[str] = (),
) -> LabelTable:
    """Read a wide table.

    Args:
        path: `.csv`, `.tsv` or `.parquet`. The image column is called `image`, `path`, `file` or `filename`; a column
            `split` is the split; every other column is a class.
        images: The image folder; without it, paths start from the folder of the file.
        absent: `negative` makes every blank ABSENT. Blanks are UNKNOWN otherwise: the format can say both.
        image_column: The image column, where its name is another.
        separator: Between cells; a comma, in `.tsv` a tab.
        leave_out: Columns that are no classes.

    Raises:
        ValueError: A cell is none of the codes; the message names row, image, class and what is there.
    """
    layout = _Layout.of(path, image_column, separator, leave_out)
    found = list(_blocks(path, layout))
    listed = [image for block in found for image in block.images]
    split = [part for block in found for part in block.split] if layout.split else None
    labels = np.concatenate(
        [block.labels for block in found] or [np.empty((0, len(layout.classes)), np.int8)]
    )
    codes = [block.codes for block in found if block.codes is not None]
    del found  # half of what is held
    origins = layout.origins(np.concatenate(codes)) if codes else None
    root = images or path.parent
    return _marked(
        build(
            path, listed, layout.class_names, labels, absent=absent, split=split, root=root, origins=origins
        )
    )


def tables(
    path: Path,
    rows: int,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    image_column: str | None = None,
    separator: str | None = None,
    leave_out: Sequence[str] = (),
) -> Iterator[LabelTable]:
    """The table some rows at a time, for files larger than memory.

    Args:
        path: As `read`.
        rows: How many; the last has fewer.
        images: As `read`.
        absent: As `read`.
        image_column: As `read`.
        separator: As `read`.
        leave_out: As `read`.

    Raises:
        ValueError: As `read`; that an image has several rows is seen within each table alone.
    """
    layout = _Layout.of(path, image_column, separator, leave_out)

    def table(block: _Block) -> LabelTable:
        labels = np.array(block.labels)  # of its own: the rest of the block can go
        split = block.split if layout.split else None
        root = images or path.parent
        origins = None if block.codes is None else layout.origins(block.codes)
        return _marked(
            build(
                path,
                block.images,
                layout.class_names,
                labels,
                absent=absent,
                split=split,
                root=root,
                origins=origins,
            )
        )

    held = _Block([], [], np.empty((0, len(layout.classes)), np.int8))
    for block in _blocks(path, layout):
        held = held.joined(block) if held.images else block
        while len(held.images) >= rows:
            yield table(held.part(slice(None, rows)))
            held = held.part(slice(rows, None))
    if held.images:
        yield table(held)


class _Layout(NamedTuple):
    """Which columns of a file are what, by position.

    `sources` has the column that says where a class's labels come from, by the class's place among the classes, and
    `numbers` the names that were met there so far.
    """

    names: list[str]
    image: int
    split: list[int]
    classes: list[int]
    separator: str | None
    sources: dict[int, int]
    numbers: dict[str, int]

    @classmethod
    def of(
        cls, path: Path, image_column: str | None, separator: str | None, leave_out: Sequence[str] = ()
    ) -> "_Layout":
        """Found by the names of the columns."""
        names = _columns.header(path, separator)
        image = _columns.image_column(path, names, image_column)
        out = [image, *(_columns.column_at(path, names, name) for name in leave_out)]
        classes = [at for at in range(len(names)) if at not in out and not _is_aside(names, at)]
        split = [names.index("split")] if "split" in names else []
        at = {name: position for position, name in enumerate(names)}
        said = [at.get(f"{names[position]}{SOURCE}") for position in classes]
        sources = {position: column for position, column in enumerate(said) if column is not None}
        return cls(names, image, split, classes, separator, sources, {"": 0})

    def origins(self, codes: np.ndarray) -> Origins:
        """Where labels come from."""
        return Origins.of_numbers(codes, list(self.numbers))

    @property
    def class_names(self) -> list[str]:
        """The names of the columns that are classes, and `_MARKS` for the calibration marks."""
        return [_MARKS if self.names[at] == CALIBRATION else self.names[at] for at in self.classes]


class _Block(NamedTuple):
    """Some rows of the file."""

    images: list[str]
    split: list[str]
    labels: np.ndarray
    codes: np.ndarray | None = None

    def part(self, rows: slice) -> "_Block":
        """Some of the rows."""
        codes = None if self.codes is None else self.codes[rows]
        return _Block(self.images[rows], self.split[rows], self.labels[rows], codes)

    def joined(self, other: "_Block") -> "_Block":
        """These rows, and then the others."""
        labels = np.concatenate([self.labels, other.labels])
        codes = None
        if self.codes is not None and other.codes is not None:
            codes = np.concatenate([self.codes, other.codes])
        return _Block(self.images + other.images, self.split + other.split, labels, codes)


def _blocks(path: Path, layout: _Layout) -> Iterator[_Block]:
    """The file, some rows at a time."""
    wanted = [layout.image, *layout.split, *layout.classes, *layout.sources.values()]
    first = 1 + len(layout.split)
    last = first + len(layout.classes)
    for columns in _columns.blocks(path, wanted, layout.names, layout.separator):
        listed, *split = (_columns.strings(column) for column in columns[:first])
        labels = np.empty((len(layout.classes), len(listed)), np.int8)
        for position, column in enumerate(columns[first:last]):
            labels[position] = codes(column)
        _refuse_unknown_codes(path, layout, labels)
        said = _codes_of(layout, columns[last:], len(listed)) if layout.sources else None
        yield _Block(listed, split[0] if split else [], np.ascontiguousarray(labels.T), said)


def _marked(table: LabelTable) -> LabelTable:
    """The table with its calibration marks, which were read as if they were a class, where they belong."""
    if _MARKS not in table.classes:
        return table
    at = table.classes.index(_MARKS)
    kept = [position for position in range(len(table.classes)) if position != at]
    origins = None if table.origins is None else table.origins.columns(kept)
    return replace(
        table,
        classes=tuple(table.classes[position] for position in kept),
        labels=table.labels[:, kept],
        origins=origins,
        calibration=tuple((table.labels[:, at] == PRESENT).tolist()),
    )


def _codes_of(layout: _Layout, columns: Sequence[Any], rows: int) -> np.ndarray:
    """Where the labels of some rows come from, in the layout's numbers, of which there may be more after."""
    found = np.zeros((len(layout.classes), rows), np.uint8)
    for position, column in zip(layout.sources, columns, strict=True):
        words = column.cast(pa.string()).fill_null("").dictionary_encode()
        names = [name.strip() for name in words.dictionary.to_pylist()]
        numbers = [layout.numbers.setdefault(name, len(layout.numbers)) for name in names]
        if len(layout.numbers) > MOST + 1:
            raise ValueError(
                f"column {layout.names[layout.sources[position]]!r}: labels come from more than {MOST} origins; merge "
                "some, or take the columns out that end in :source"
            )
        found[position] = np.array(numbers or [0], np.uint8)[words.indices.to_numpy()]
    return np.ascontiguousarray(found.T)


def codes(column: Any) -> np.ndarray:
    """A column of an arrow table as int8 codes; -128 for what is no code."""
    if pa.types.is_boolean(column.type):
        return pc.fill_null(column.cast(pa.int8()), UNKNOWN).to_numpy()
    words = column.cast(pa.string()).fill_null("")
    places = pc.index_in(words, value_set=_USUAL)
    if places.null_count:
        words = pc.utf8_lower(pc.utf8_trim_whitespace(words))
        places = pc.index_in(words, value_set=_USUAL).fill_null(len(_USUAL))
    return _MEANING[places.to_numpy()]


def _is_aside(names: Sequence[str], position: int) -> bool:
    """Whether a column is no class: the split, or the companion of a class in a filled table."""
    name = names[position]
    stem, colon, _ = name.rpartition(":")
    return name == "split" or (name.endswith(COMPANIONS) and bool(colon) and stem in names)


def _refuse_unknown_codes(path: Path, layout: _Layout, labels: np.ndarray) -> None:
    """See that all cells are codes; where one is not, its column is read again, to say where and what is there."""
    if labels.min(initial=0) != _WRONG:
        return
    at = layout.classes[int((labels == _WRONG).any(axis=1).argmax())]
    images, column = _columns.columns(path, [layout.image, at], layout.names, layout.separator)
    wrong = np.flatnonzero(codes(column) == _WRONG)
    cells = some((f"row {row + 1} ({images[row]}): {str(column[row])!r}" for row in wrong.tolist()), most=3)
    raise ValueError(
        f"{path}: class {layout.names[at]!r} has {len(wrong)} cell(s) that are no label: {cells}. Write 1 (present), "
        "0 (absent) or nothing (unknown); true, false and NaN do too"
        + (". -1 means absent to some and unknown to others, so it is not guessed" if "-1" in cells else "")
    )
