"""Long CSV: one row per image with a cell that lists its classes (`dog|person`), or one row per image and class.

An optional second column lists the absent classes. Columns of texts about the images (`text`, `caption`, ...) are kept.
"""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from partlabel.core.fixes import InputError, InputWarning, ReaderArgument
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.messages import did_you_mean, some
from partlabel.data.readers import _columns, _image_column, _kinds, _roles
from partlabel.data.readers._build import build_table, require_absent
from partlabel.data.readers._cells import Names, Reading
from partlabel.data.readers._roles import Understood
from partlabel.data.readers._text_columns import text_columns
from partlabel.data.tables.label_table import Absent, LabelTable

ABSENCE = {
    "unknown": "absent is what the column of absent classes lists, if there is one; a class in neither is unknown",
    "negative": "absent is what the column of absent classes lists, and every class that an image's rows do not name; "
    "all of an image whose labels are a missing value (null in parquet, NaN, N/A) is unknown",
}


def recognises(path: Path, separator: str | None = None) -> bool:
    """Return whether a file is a CSV, TSV or parquet file with a column of class names, such as `labels`."""
    return _kinds.kind(path, separator) == "long_csv"


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
    labels_column: Sequence[str] | str | None = None,
    absent_column: str | None = None,
    delimiter: str | None = None,
    image_column: str | None = None,
    separator: str | None = None,
    split_column: str | None = None,
    suffix: str | None = None,
) -> LabelTable:
    """Read a long table. Rows of the same image are merged.

    A cell contains names with a delimiter between them, or a list as Python or JSON writes it. An empty cell is an
    empty list; NaN, None, N/A and similar are a missing value, and the image's labels stay unknown. `No Finding` is an
    empty list too. Whole numbers that are not class names are positions in `classes`, from 0; vectors of zeros and ones
    are read as one value per class.

    Args:
        path: `.csv`, `.tsv` or `.parquet`, with an image column (see `wide_csv`) and columns of class names.
        images: Image folder; by default paths are relative to the file's folder.
        absent: Meaning of a class in neither column; required if there is no column of absent classes, and `unknown` by
            default if there is one.
        classes: All classes in their order; by default those that occur, in alphabetical order.
        labels_column: Column of present classes, or several; by default `labels`, `label`, `tags`, `class`, ..., or
            `label1`, `label2`, ....
        absent_column: Column of absent classes; `absent` by default, if it exists.
        delimiter: Delimiter between names within a cell; by default the one of `|`, `;`, `,` that occurs.
        image_column: Column of image paths, if its name is unusual.
        separator: Separator between the cells of the file; by default a comma, in `.tsv` a tab.
        split_column: Column of parts; by default `split`, or a column with only names of parts.
        suffix: Suffix of image files, such as `.jpg`, if the table has ids without it.

    Raises:
        ValueError: A name is not among `classes` or is not a plausible class name, a class of an image is both present
            and absent, or cells are ambiguous.

    Warns:
        UserWarning: Cells contain a word for a missing value.
    """
    layout = _Layout.of(path, images, image_column, labels_column, absent_column, split_column, separator)
    if not layout.absent:
        require_absent(
            path, absent, "the file lists only what is present, and has no column of absent classes"
        )
    given = _columns.columns(path, [*layout.wanted, *layout.texts], layout.names, separator)
    given, text_columns = given[: len(layout.wanted)], given[len(layout.wanted) :]
    found = [_columns.strings(column) for column in given]
    texts = found[1 : 1 + len(layout.labels) + len(layout.absent)]
    split = layout.split
    rows = _rows(path, found[0], None if split is None else [split.part(cell) for cell in found[-1]])
    names = _names_of(path, layout, found[0], texts, classes, delimiter)
    pairs = [_pairs(rows, column, names) for column in texts]
    columns = list(classes) if classes is not None else sorted({name for of in pairs for name in of["name"]})
    labels = np.full((rows["row"].n_unique(), len(columns)), UNKNOWN, np.int8)
    for at, of in enumerate(pairs):
        _mark(path, labels, of, columns, PRESENT if at < len(layout.labels) else ABSENT)
    listed = rows.unique("row", keep="first", maintain_order=True)
    return build_table(
        path,
        listed["image"].to_list(),
        columns,
        labels,
        absent=absent,
        split=None if split is None else listed["split"].to_list(),
        root=images or path.parent,
        unsure=_nobody_looked(rows, given[1 : 1 + len(layout.labels)], texts, names),
        suffix=suffix,
        texts=_texts_of(rows, [_columns.strings(column) for column in text_columns])
        if text_columns
        else None,
    )


def understood(path: Path, images: Path | None = None, **options: Any) -> Understood:
    """Return how the columns were interpreted.

    Args:
        path: Path of the table, as in `read`.
        images: Image folder, as in `read`.
        **options: Options of `read`.
    """
    keys = ("image_column", "labels_column", "absent_column", "split_column", "separator")
    layout = _Layout.of(path, images, *(options.get(key) for key in keys))
    used = {*layout.wanted, *layout.texts}
    left_out = [name for at, name in enumerate(layout.names) if at not in used]
    split = None if layout.split is None else layout.names[layout.split.at]
    return Understood(
        layout.names[layout.image],
        split,
        left_out,
        tuple(layout.names[at] for at in layout.labels),
        tuple(layout.names[at] for at in layout.texts),
    )


class _Layout(NamedTuple):
    """Roles of a file's columns, by position."""

    names: list[str]
    image: int
    labels: list[int]
    absent: list[int]
    split: _roles.Split | None
    texts: list[int]

    @classmethod
    def of(
        cls,
        path: Path,
        images: Path | None,
        image_column: str | None,
        labels_column: Sequence[str] | str | None,
        absent_column: str | None,
        split_column: str | None,
        separator: str | None,
    ) -> "_Layout":
        names = _columns.header(path, separator)
        image = _image_column.image_column(path, names, image_column, separator, images)
        if labels_column is None:
            labels = _roles.names_columns(path, names, separator)
        else:
            asked = [labels_column] if isinstance(labels_column, str) else labels_column
            labels = [_columns.column_at(path, names, name) for name in asked]
        has_absent = absent_column or "absent" in names
        absent = [_columns.column_at(path, names, absent_column or "absent")] if has_absent else []
        split = _roles.split_column(path, names, split_column, separator)
        used = {image, *labels, *absent, *([split.at] if split else [])}
        texts = text_columns(path, names, [at for at in range(len(names)) if at not in used], separator)
        return cls(names, image, labels, absent, split, texts)

    @property
    def wanted(self) -> list[int]:
        """All columns that are used, but for texts."""
        return [self.image, *self.labels, *self.absent, *([self.split.at] if self.split else [])]


def _texts_of(rows: pl.DataFrame, columns: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the texts of each row of the table, of all its lines."""
    found: list[list[str]] = [[] for _ in range(rows["row"].n_unique())]
    for row, *cells in zip(rows["row"].to_list(), *columns, strict=True):
        found[row] += cells
    return found


def _names_of(
    path: Path,
    layout: _Layout,
    images: Sequence[str],
    texts: Sequence[Sequence[str]],
    classes: Sequence[str] | None,
    delimiter: str | None,
) -> dict[str, Names]:
    """Find the class names in each distinct cell; None for a missing value."""
    distinct = list(dict.fromkeys(cell for column in texts for cell in column))

    def place(cell: str) -> str:
        row = next(column.index(cell) for column in texts if cell in column)
        return f"row {row + 1} ({images[row]})"

    label = layout.names[layout.labels[0]]
    names = Reading(path, label, place, classes, delimiter).names_of(distinct)
    null = {cell for cell, of_cell in names.items() if of_cell is None}
    if null:
        number = sum(cell in null for column in texts for cell in column)
        warnings.warn(
            InputWarning(
                f"{path}: {number} cell(s) of column {label!r} hold {some(sorted(map(repr, null)))} in place of names: "
                "their labels stay unknown. If it is a class, name all classes with ",
                ReaderArgument("classes", placeholder="'[...]'"),
            ),
            stacklevel=5,
        )
    return names


def _rows(path: Path, images: list[str], split: list[str] | None) -> pl.DataFrame:
    """Return one line per row of the file: the image, its part, and its row in the table."""
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


def _pairs(rows: pl.DataFrame, cells: list[str], names: Mapping[str, Names]) -> pl.DataFrame:
    """Return one line per name in a cell: the row in the table, the image and the name."""
    pairs = [(cell, name) for cell, of_cell in names.items() for name in of_cell or ()]
    listed = pl.DataFrame(pairs, schema={"cell": pl.String, "name": pl.String}, orient="row")
    lines = rows.select("row", "image").with_columns(pl.Series("cell", cells, dtype=pl.String))
    return lines.join(listed, on="cell", maintain_order="left")


def _mark(path: Path, labels: np.ndarray, pairs: pl.DataFrame, classes: Sequence[str], code: int) -> None:
    """Write a code into the cells of the given names.

    Raises:
        ValueError: A name is not a class, or a cell already has the other code.
    """
    strange = sorted(set(pairs["name"].unique()) - set(classes))
    if strange:
        raise InputError(
            f"{path}: {len(strange)} name(s) are not among the classes: {some(map(repr, strange))}"
            f"{did_you_mean(strange[0], classes)}; correct them or add them to ",
            ReaderArgument("classes", placeholder="'[...]'"),
        )
    number = {name: position for position, name in enumerate(classes)}
    row = pairs["row"].cast(pl.Int64).to_numpy()
    column = pairs["name"].replace_strict(number, default=None).cast(pl.Int64).to_numpy()
    twice = np.flatnonzero((labels[row, column] != UNKNOWN) & (labels[row, column] != code))
    if len(twice):
        image, name = pairs["image"][int(twice[0])], pairs["name"][int(twice[0])]
        raise ValueError(
            f"{path}: image {image!r} has class {name!r} both as present and as absent; remove it from one column"
        )
    labels[row, column] = code


def _nobody_looked(
    rows: pl.DataFrame, given: Sequence[Any], texts: Sequence[Sequence[str]], names: Mapping[str, Names]
) -> np.ndarray:
    """Return the table rows whose labels are missing values in all lines; in CSV, an empty cell is an empty list."""
    blank = np.ones((rows["row"].n_unique(), 1), bool)
    for column, cells in zip(given, texts, strict=False):
        named = np.fromiter((names[cell] is not None for cell in cells), bool, len(cells))
        blank[rows["row"].to_numpy()[column.is_valid().to_numpy() & named]] = False
    return blank
