"""Reading a calibration set: images drawn at random and labelled completely, about 40 of them.

It is a table whose column `calibration` is 1 for those images, as `partlabel review --export` writes it; all images of
a table without that column.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.splits import aligned

FEW = 20
"""Images below which a calibration set says little."""
COMPLETE = 0.9
"""Share of the labels of a calibration set that has to be known."""


def read(path: Path, images: Path | None, classes: Sequence[str]) -> LabelTable:
    """Read the images of a calibration set, their columns in the order of a model's classes.

    Args:
        path: A table in any format; of one with a column `calibration`, the images that are marked there.
        images: The image folder.
        classes: Of the model.

    Raises:
        ValueError: No image is marked, a class of the model is missing, or `check` refuses it.
    """
    table = LabelTable.read(path, images, missing="keep")
    return check(aligned(marked(table, str(path)), classes, f"the calibration set {path}"), str(path))


def marked(table: LabelTable, name: str) -> LabelTable:
    """The images of a table that are marked as its calibration set; all of a table without marks.

    Args:
        table: The images.
        name: Of the table, in messages.

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
    """See that a calibration set can be used.

    Args:
        table: The images.
        name: Of the set, in messages.

    Raises:
        ValueError: There is no image, too little of it is known, or no label is present.

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
            f"{name}: a calibration set of {len(table):,} images says little; about 40 are enough",
            stacklevel=2,
        )
    if not (table.labels == PRESENT).any():
        raise ValueError(
            f"{name}: not one label of its {len(table):,} images is present; see that 1 means present"
        )
    return table
