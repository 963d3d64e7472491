"""Reading a calibration set: images drawn at random and labelled completely, about 40 of them.

It is a table whose column `calibration` is 1 for those images, as `partlabel review --export` writes it; all images of
a table without that column.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from partlabel.codes import PRESENT, UNKNOWN
from partlabel.data.parts import aligned
from partlabel.data.table import LabelTable
from partlabel.run import Run

COLUMN = "calibration"
FEW = 20
"""Images below which a calibration set says little."""
COMPLETE = 0.9
"""Share of the labels of a calibration set that has to be known."""
_MARKED = {"1", "1.0", "true"}
_UNMARKED = {"", "0", "0.0", "false", "null", "nan", "na"}


def marked(path: Path) -> tuple[str, ...] | None:
    """Cells of the column `calibration`, in the order of the rows of a wide table; None where there is no such column.

    Raises:
        ValueError: A cell is neither 1, 0 nor blank.
    """
    from partlabel.data.readers import _columns

    if not path.is_file() or path.suffix not in _columns.TABLES:
        return None
    names = _columns.header(path)
    if COLUMN not in names:
        return None
    cells = _columns.strings(_columns.columns(path, [names.index(COLUMN)], names)[0])
    for row, cell in enumerate(cells, start=1):
        if cell.lower() not in _MARKED | _UNMARKED:
            raise ValueError(
                f"{path}: column {COLUMN!r}, row {row}: {cell!r} is neither 1 (in the calibration set), 0 nor blank"
            )
    return tuple(cells)


def read(path: Path, images: Path | None, classes: Sequence[str]) -> LabelTable:
    """Read the images of a calibration set, their columns in the order of a model's classes.

    Args:
        path: A table in any format; of a wide one with a column `calibration`, the images that are marked there.
        images: The image folder.
        classes: Of the model.

    Raises:
        ValueError: No image is marked, a class of the model is missing, or `check` refuses it.
    """
    cells = marked(path)
    if cells is None:
        table = LabelTable.read(path, images, missing="keep")
    else:
        table = _without_column(path, images)
        table = table[np.array([cell.lower() in _MARKED for cell in cells])]
        if not len(table):
            raise ValueError(
                f"{path}: column {COLUMN!r} marks no image; write 1 for the images that were drawn at random and "
                "labelled completely, or collect them by partlabel review RUN --calibrate 40"
            )
    return check(aligned(table, classes, f"the calibration set {path}"), str(path))


def of_review(run: Run, images: Path | None, classes: Sequence[str]) -> LabelTable | None:
    """The calibration set that the review of a run collected; None where it collected none."""
    return None


def check(table: LabelTable, name: str) -> LabelTable:
    """See that a calibration set can be used.

    Args:
        table: The images.
        name: Of the set, in messages.

    Raises:
        ValueError: There is no image, too little of it is known, or no label is present.
    """
    known = (table.labels != UNKNOWN).mean() if table.labels.size else 0.0
    if known < COMPLETE:
        raise ValueError(
            f"{name}: {known:.0%} of the labels of its {len(table):,} images are known; a calibration set is labelled "
            "completely (1 or 0 for every class): partlabel review RUN --calibrate 40 collects one"
        )
    if not (table.labels == PRESENT).any():
        raise ValueError(
            f"{name}: not one label of its {len(table):,} images is present; see that 1 means present"
        )
    return table


def _without_column(path: Path, images: Path | None) -> LabelTable:
    """The table, whether or not its reader knows that the column is no class."""
    table = LabelTable.read(path, images, format="wide_csv", missing="keep")
    if COLUMN not in table.classes:
        return table
    return LabelTable.read(path, images, format="wide_csv", missing="keep", leave_out=[COLUMN])
