"""Reading a calibration set: about 40 images drawn at random and labelled completely.

It consists of the images of a table whose column `calibration` is 1, as `partlabel review --export` writes it; of all
images if the table has no such column.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.splits import aligned

FEW = 20
"""Number of images below which a calibration set is imprecise."""
COMPLETE = 0.9
"""Minimum share of known labels of a calibration set."""


def read(path: Path, images: Path | None, classes: Sequence[str]) -> LabelTable:
    """Read the images of a calibration set, with columns in the order of a model's classes.

    Args:
        path: Table in any format; if it has a column `calibration`, the images that are marked there.
        images: Image folder; None for the one that the table implies.
        classes: Class names of the model.

    Raises:
        ValueError: No image is marked, a class of the model is missing, or `check` refuses it.
    """
    table = LabelTable.read(path, images, missing="keep")
    return check(aligned(marked(table, str(path)), classes, f"the calibration set {path}"), str(path))


def marked(table: LabelTable, name: str) -> LabelTable:
    """Select the images of a table that are marked as its calibration set; all images of a table without marks.

    Args:
        table: Label table.
        name: Name of the table, for messages.

    Raises:
        ValueError: There are marks, and no image has one.
    """
    if table.calibration is None:
        return table
    if not any(table.calibration):
        raise ValueError(
            f"{name}: the column 'calibration' marks no image; write 1 for the images that were drawn at random and "
            "labelled completely, or collect them by partlabel review RUN --calibrate 40"
        )
    return table[np.array(table.calibration)]


def check(table: LabelTable, name: str) -> LabelTable:
    """Check that a calibration set can be used; return it.

    Args:
        table: Label table of the calibration set.
        name: Name of the calibration set, for messages.

    Raises:
        ValueError: There is no image, too few labels are known, or no label is present.

    Warns:
        UserWarning: There are few images.
    """
    known = (table.labels != UNKNOWN).mean() if table.labels.size else 0.0
    if known < COMPLETE:
        raise ValueError(
            f"{name}: {known:.0%} of the labels of its {len(table):,} images are known; a calibration set is labelled "
            "completely (1 or 0 for every class): partlabel review RUN --calibrate 40 collects one"
        )
    if len(table) < FEW:
        warnings.warn(
            f"{name}: a calibration set of {len(table):,} images is imprecise; about 40 are enough",
            stacklevel=2,
        )
    if not (table.labels == PRESENT).any():
        raise ValueError(
            f"{name}: no label of its {len(table):,} images is present; check that 1 means present"
        )
    return table
