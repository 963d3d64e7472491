"""Wide CSV, TSV and parquet: one row per image, one column per class; 1 / 0 / empty, true / false, NaN.

The format that `LabelTable.save` writes. A filled table (`FilledTable.save`) is read too: its `<class>:p` columns are
ignored, so that filled labels become known ones. Columns `<class>:source` give the origins of known labels. Columns of
texts about the images (`text`, `caption`, ...) are kept as such.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from partlabel.data.readers import _kinds
from partlabel.data.readers._build import build_table
from partlabel.data.readers._codes import MinusOne
from partlabel.data.readers._roles import Understood
from partlabel.data.readers._wide import Block, WideLayout
from partlabel.data.tables.label_table import Absent, LabelTable

ABSENCE = {
    "unknown": "absent is a cell of 0 (or false); an empty cell is unknown",
    "negative": "absent is a cell of 0 (or false), and every empty cell",
}


def recognises(path: Path, separator: str | None = None) -> bool:
    """Return whether a file is a CSV, TSV or parquet file without a column of class names."""
    return _kinds.kind(path, separator) == "wide_csv"


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    image_column: str | None = None,
    separator: str | None = None,
    leave_out: Sequence[str] = (),
    split_column: str | None = None,
    minus_one: MinusOne | None = None,
    suffix: str | None = None,
) -> LabelTable:
    """Read a wide table.

    Args:
        path: `.csv`, `.tsv` or `.parquet` with an image column, an optional column of parts, and one column per class.
        images: Image folder; by default paths are relative to the file's folder.
        absent: `negative` makes every empty cell ABSENT. By default empty cells are UNKNOWN, because the format can
            store both.
        image_column: Column of image paths; by default the one with a usual name (`image`, `path`, `file`, `filename`,
            `image_id`, ...) or whose cells are files of the image folder.
        separator: Separator between cells; by default a comma, in `.tsv` a tab.
        leave_out: Columns that are not classes.
        split_column: Column of parts; by default `split`, or a column with only names of parts.
        minus_one: Meaning of -1: `unknown` (uncertain, as in CheXpert) or `absent` (as in CelebA); refused if None.
        suffix: Suffix of image files, such as `.jpg`, if the table has ids without it.

    Raises:
        ValueError: A cell is not one of the codes; the message gives row, image, class and content.

    Warns:
        UserWarning: A column of row numbers is left out.
    """
    layout = WideLayout.of(path, images, image_column, separator, leave_out, split_column, minus_one)
    found = list(layout.blocks())
    layout.warn()
    listed = [image for block in found for image in block.images]
    split = [part for block in found for part in block.split] if layout.split else None
    labels = np.concatenate(
        [block.labels for block in found] or [np.empty((0, len(layout.classes)), np.int8)]
    )
    codes = [block.codes for block in found if block.codes is not None]
    marks = [mark for block in found for mark in block.marks] if layout.calibration is not None else None
    texts = [of_image for block in found for of_image in block.texts] if layout.texts else None
    del found  # half of the memory in use
    return build_table(
        path,
        listed,
        layout.class_names,
        labels,
        absent=absent,
        split=split,
        root=images or path.parent,
        origins=layout.origins(np.concatenate(codes)) if codes else None,
        suffix=suffix,
        calibration=marks,
        texts=texts,
    )


def understood(path: Path, images: Path | None = None, **options: Any) -> Understood:
    """Return how the columns were interpreted.

    Args:
        path: Path of the table, as in `read`.
        images: Image folder, as in `read`.
        **options: Options of `read`.
    """
    options.pop("suffix", None)
    layout = WideLayout.of(path, images, **options)
    left_out = [layout.names[at] for at in (*layout.row_numbers, *layout.left_out)]
    return Understood(
        layout.names[layout.image],
        None if layout.split is None else layout.names[layout.split.at],
        left_out,
        texts=tuple(layout.names[at] for at in layout.texts),
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
    split_column: str | None = None,
    minus_one: MinusOne | None = None,
    suffix: str | None = None,
) -> Iterator[LabelTable]:
    """Yield the table in blocks of rows, for files larger than memory.

    Args:
        path: Path of the table, as in `read`.
        rows: Number of rows per block; the last has fewer.
        images: Image folder, as in `read`.
        absent: Meaning of classes that are not mentioned, as in `read`.
        image_column: Column of image paths, as in `read`.
        separator: Separator of columns, as in `read`.
        leave_out: Columns that are no classes, as in `read`.
        split_column: Column of the split, as in `read`.
        minus_one: Meaning of -1, as in `read`.
        suffix: Suffix to append to image ids, as in `read`.

    Raises:
        ValueError: An error of `read`; repeated images are only found within each block.
    """
    layout = WideLayout.of(path, images, image_column, separator, leave_out, split_column, minus_one)
    layout.warn()

    def table(block: Block) -> LabelTable:
        labels = np.array(block.labels)  # of its own: the rest of the block can go
        return build_table(
            path,
            block.images,
            layout.class_names,
            labels,
            absent=absent,
            split=block.split if layout.split else None,
            root=images or path.parent,
            origins=None if block.codes is None else layout.origins(block.codes),
            suffix=suffix,
            calibration=None if layout.calibration is None else block.marks,
            texts=block.texts if layout.texts else None,
        )

    held = Block([], [], np.empty((0, len(layout.classes)), np.int8))
    for block in layout.blocks():
        held = held.joined(block) if held.images else block
        while len(held.images) >= rows:
            yield table(held.part(slice(None, rows)))
            held = held.part(slice(rows, None))
    if held.images:
        yield table(held)
