"""Wide CSV, TSV and parquet: one row an image, one column a class; 1 / 0 / blank, true / false, NaN.

The format `LabelTable.save` writes. A filled table (`FilledTable.save`) is read too: its `<class>:p` columns are left
out, so filled labels become known ones. Columns `<class>:source` say where known labels come from.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from partlabel.data.readers import _roles
from partlabel.data.readers._build import build_table
from partlabel.data.readers._codes import MinusOne
from partlabel.data.readers._roles import Understood
from partlabel.data.readers._wide import Block, WideLayout
from partlabel.data.tables.label_table import Absent, LabelTable

ABSENCE = {
    "unknown": "absent is a cell of 0 (or false); a blank is unknown",
    "negative": "absent is a cell of 0 (or false), and every blank",
}


def recognises(path: Path, separator: str | None = None) -> bool:
    """A CSV, TSV or parquet file without a column of class names."""
    return _roles.kind(path, separator) == "wide_csv"


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
        path: `.csv`, `.tsv` or `.parquet` with an image column, perhaps a column of parts, and a column for each class.
        images: The image folder; without it, paths start from the folder of the file.
        absent: `negative` makes every blank ABSENT. Blanks are UNKNOWN otherwise: the format can say both.
        image_column: The image column; without it, the one of a usual name (`image`, `path`, `file`, `filename`,
            `image_id`, ...) or whose cells are files of the image folder.
        separator: Between cells; a comma, in `.tsv` a tab.
        leave_out: Columns that are no classes.
        split_column: The column of parts; without it, `split`, or one that has only names of parts.
        minus_one: What -1 means: `unknown` (as CheXpert's unsure) or `absent` (as in CelebA); refused if None.
        suffix: The suffix of image files, such as `.jpg`, where the table has ids without it.

    Raises:
        ValueError: A cell is none of the codes; the message names row, image, class and what is there.

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
    del found  # half of what is held
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
    ).with_calibration(marks)


def understood(path: Path, images: Path | None = None, **options: Any) -> Understood:
    """What the columns were taken for.

    Args:
        path: As `read`.
        images: As `read`.
        **options: As `read`.
    """
    options.pop("suffix", None)
    layout = WideLayout.of(path, images, **options)
    left_out = [layout.names[at] for at in (*layout.row_numbers, *layout.left_out)]
    return Understood(
        layout.names[layout.image], None if layout.split is None else layout.names[layout.split.at], left_out
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
    """The table some rows at a time, for files larger than memory.

    Args:
        path: As `read`.
        rows: How many; the last has fewer.
        images: As `read`.
        absent: As `read`.
        image_column: As `read`.
        separator: As `read`.
        leave_out: As `read`.
        split_column: As `read`.
        minus_one: As `read`.
        suffix: As `read`.

    Raises:
        ValueError: As `read`; that an image has several rows is seen within each table alone.
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
        ).with_calibration(None if layout.calibration is None else block.marks)

    held = Block([], [], np.empty((0, len(layout.classes)), np.int8))
    for block in layout.blocks():
        held = held.joined(block) if held.images else block
        while len(held.images) >= rows:
            yield table(held.part(slice(None, rows)))
            held = held.part(slice(rows, None))
    if held.images:
        yield table(held)
