"""Long CSV: one row an image with a cell that lists its classes (`dog|person`), or a row for each of them.

An optional second column lists the classes that are known to be absent.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from partlabel.codes import ABSENT, PRESENT, UNKNOWN
from partlabel.data.readers import _columns, wide_csv
from partlabel.data.readers._build import build, require_absent
from partlabel.data.table import Absent, LabelTable
from partlabel.text import did_you_mean, some

_DELIMITERS = ("|", ";", ",")
ABSENCE = {
    "unknown": "absent is what the column of absent classes lists, if there is one; a class in neither is unknown",
    "negative": "absent is what the column of absent classes lists, and every class that an image's rows do not name; "
    "all of an image whose labels are null (in parquet) is unknown",
}


def recognises(path: Path) -> bool:
    """A CSV, TSV or parquet file with a column `labels` that holds names."""
    if not path.is_file() or path.suffix not in _columns.TABLES or _columns.is_hub(path):
        return False
    return "labels" in _columns.header(path) and not wide_csv.recognises(path)


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
    labels_column: str = "labels",
    absent_column: str | None = None,
    delimiter: str | None = None,
    image_column: str | None = None,
    separator: str | None = None,
) -> LabelTable:
    """Read a long table. Rows of one image are put together.

    Args:
        path: `.csv`, `.tsv` or `.parquet`, with an image column (see `wide_csv`) and a column of class names. A
            column `split` is the split; any others are left out.
        images: The image folder; without it, paths start from the folder of the file.
        absent: What a class in neither column means; required if there is no column of absent ones, and `unknown`
            if there is.
        classes: All classes in their order; without it, those that occur, in alphabetical order.
        labels_column: The column of present classes.
        absent_column: The column of known-absent classes; `absent` if there is one.
        delimiter: Between names within a cell; without it, the one of `|`, `;`, `,` that occurs.
        image_column: The image column, where its name is another.
        separator: Between cells of the file; a comma, in `.tsv` a tab.

    Raises:
        ValueError: A name that is not among `classes`, or a class said to be both present and absent in an image.
    """
    names = _columns.header(path, separator)
    at = [_columns.image_column(path, names, image_column), _columns.column_at(path, names, labels_column)]
    if absent_column or "absent" in names:
        at.append(_columns.column_at(path, names, absent_column or "absent"))
    else:
        require_absent(
            path, absent, "the file lists only what is present, and has no column of absent classes"
        )
    in_split = [names.index("split")] if "split" in names else []
    given = _columns.columns(path, [*at, *in_split], names, separator)
    found = [_columns.strings(column) for column in given]
    delimiter = delimiter or _guess_delimiter(path, found[1 : len(at)])
    rows = _rows(path, found[0], found[len(at)] if in_split else None)
    pairs = [_pairs(rows, column, delimiter) for column in found[1 : len(at)]]
    columns = list(classes) if classes is not None else sorted({name for of in pairs for name in of["name"]})
    labels = np.full((rows["row"].n_unique(), len(columns)), UNKNOWN, np.int8)
    for code, of in zip((PRESENT, ABSENT), pairs, strict=False):
        _mark(path, labels, of, columns, code)
    listed = rows.unique("row", keep="first", maintain_order=True)
    split = listed["split"].to_list() if in_split else None
    root = images or path.parent
    return build(
        path,
        listed["image"].to_list(),
        columns,
        labels,
        absent=absent,
        split=split,
        root=root,
        unsure=_nobody_looked(rows, given[1]),
    )


def _rows(path: Path, images: list[str], split: list[str] | None) -> pl.DataFrame:
    """For each line of the file: the image, its split, and the row of the table that it goes to."""
    lines = pl.DataFrame(
        {"image": images, "split": split or [""] * len(images)},
        schema={"image": pl.String, "split": pl.String},
    )
    first = lines.unique("image", keep="first", maintain_order=True).with_row_index("row")
    lines = lines.join(first.select("image", "row"), on="image", how="left", maintain_order="left")
    torn = (
        first.select("image", other="split")
        .join(lines, on="image")
        .filter(pl.col("split") != pl.col("other"))
    )
    if len(torn):
        image, one, other, _ = torn.row(0)
        raise ValueError(
            f"{path}: image {image!r} is both in split {one!r} and {other!r}; it can only be in one part"
        )
    return lines


def _pairs(rows: pl.DataFrame, cells: list[str], delimiter: str) -> pl.DataFrame:
    """A line for every name in a cell: the row of the table, the image and the name."""
    names = pl.Series("name", cells, dtype=pl.String).str.split(delimiter)
    pairs = rows.select("row", "image").with_columns(names).explode("name")
    return pairs.with_columns(pl.col("name").str.strip_chars()).filter(pl.col("name") != "")


def _mark(path: Path, labels: np.ndarray, pairs: pl.DataFrame, classes: Sequence[str], code: int) -> None:
    """Write a code into the named cells.

    Raises:
        ValueError: A name is no class, or a cell has the other code already.
    """
    strange = sorted(set(pairs["name"].unique()) - set(classes))
    if strange:
        raise ValueError(
            f"{path}: {len(strange)} name(s) are not among the classes: {some(map(repr, strange))}"
            f"{did_you_mean(strange[0], classes)}; mend them or add them to classes="
        )
    number = {name: position for position, name in enumerate(classes)}
    row = pairs["row"].cast(pl.Int64).to_numpy()
    column = pairs["name"].replace_strict(number, default=None).cast(pl.Int64).to_numpy()
    twice = np.flatnonzero((labels[row, column] != UNKNOWN) & (labels[row, column] != code))
    if len(twice):
        image, name = pairs["image"][int(twice[0])], pairs["name"][int(twice[0])]
        raise ValueError(
            f"{path}: image {image!r} has class {name!r} both as present and as absent; take it out of one column"
        )
    labels[row, column] = code


def _nobody_looked(rows: pl.DataFrame, column: Any) -> np.ndarray:
    """The rows of the table whose labels are null in all lines, in one column; in CSV, a blank is an empty list."""
    nobody = np.ones((rows["row"].n_unique(), 1), bool)
    nobody[rows["row"].to_numpy()[column.is_valid().to_numpy()]] = False
    return nobody


def _guess_delimiter(path: Path, found: list[list[str]]) -> str:
    occurs = [mark for mark in _DELIMITERS if any(mark in cell for column in found for cell in column)]
    if len(occurs) > 1:
        raise ValueError(
            f"{path}: class names may be separated by {' or '.join(map(repr, occurs))}; say which with delimiter="
        )
    return occurs[0] if occurs else _DELIMITERS[0]
