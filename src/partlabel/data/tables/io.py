"""Writing wide tables: one row per image, one column per class; 1 / 0 / empty in CSV, nullable booleans in parquet."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from partlabel.core.files import atomic_write
from partlabel.core.labels import UNKNOWN
from partlabel.data.tables.text_cells import column_name, lines_in_cells
from partlabel.data.tables.validation import CALIBRATION

if TYPE_CHECKING:
    from partlabel.data.tables.label_table import LabelTable

IMAGE = "image"
"""Column of the images."""


def frame(table: "LabelTable") -> pl.DataFrame:
    """Return the data frame: `image`, optional `split`, `calibration` and `text`, then a Boolean column per class.

    If origins are recorded, each class is followed by its column `<class>:source`.
    """
    head = [pl.Series(IMAGE, table.images, dtype=pl.String)]
    if table.split is not None:
        head.append(pl.Series("split", table.split, dtype=pl.String))
    if table.calibration is not None:
        head.append(pl.Series(CALIBRATION, table.calibration, dtype=pl.Boolean))
    if table.texts is not None and any(table.texts):
        head.append(pl.Series(column_name(table.classes), lines_in_cells(table.texts), dtype=pl.String))
    columns = np.ascontiguousarray(table.labels.T)
    labels = [_column(name, column) for name, column in zip(table.classes, columns, strict=True)]
    if table.origins is None:
        return pl.DataFrame(head + labels)
    source_columns = sources(table.classes, table.origins.codes, table.origins.names)
    return pl.DataFrame(head + [each for pair in zip(labels, source_columns, strict=True) for each in pair])


def sources(classes: Sequence[str], numbers: np.ndarray, names: Sequence[str]) -> Iterator[pl.Series]:
    """Yield a column `<class>:source` for each class: names by number, null for number 0, which is no source."""
    words = pl.Series([name or None for name in names], dtype=pl.Enum(names[1:]))
    for position, name in enumerate(classes):
        yield words.gather(numbers[:, position].astype(np.uint32)).alias(f"{name}:source")


def write_wide(frame: pl.DataFrame, path: Path) -> Path:
    """Write a data frame as `.csv` or `.parquet`, under a temporary name first; booleans become 1 and 0 in CSV.

    Raises:
        ValueError: The suffix is another.
    """
    if path.suffix.lower() == ".csv":
        with atomic_write(path) as aside:
            # Series by series: in an expression, a class called "*" would be all columns.
            numbers = [
                each.cast(pl.Int8) if each.dtype == pl.Boolean else each for each in frame.get_columns()
            ]
            pl.DataFrame(numbers).write_csv(aside)
    elif path.suffix.lower() == ".parquet":
        with atomic_write(path) as aside:
            frame.write_parquet(aside)
    else:
        raise ValueError(f"cannot save a label table as {path.name!r}: end the name in .csv or .parquet")
    return path


def _column(name: str, labels: np.ndarray) -> pl.Series:
    column = pl.Series(name, labels)
    return column.set(column == UNKNOWN, None).cast(pl.Boolean)
