"""How well the texts of photos alone rank known labels, compared with chance; `partlabel inspect`.

Texts and class names are fitted by cross-validation on the known labels (`transfer/sources/`), without any image.
"""

from typing import NamedTuple

import numpy as np
import torch

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.targets import Targets
from partlabel.core.types import TextFeatures
from partlabel.data.tables.label_table import LabelTable
from partlabel.evaluation.headline import FEWEST
from partlabel.evaluation.metrics import average_precision
from partlabel.selection.cross_validation import folds
from partlabel.transfer.sources import Observed
from partlabel.transfer.teacher import Teacher

SOURCES = ("text", "class_names")
FOLDS = 3


class TextValue(NamedTuple):
    """What texts alone achieve.

    Attributes:
        map: mAP of out-of-fold scores on known labels, in [0, 1].
        chance: mAP of a random ranking.
        classes: Number of classes behind both: those with enough known present labels, and a known absent one.
    """

    map: float
    chance: float
    classes: int


def text_value(table: LabelTable, text: TextFeatures, seed: int = 0) -> TextValue | None:
    """Evaluate the texts of a table on its known labels; None if no class has enough of them.

    Args:
        table: Label table with texts.
        text: Features of its texts.
        seed: Random seed of the folds.
    """
    rows = text.available.numpy()
    labels = table.labels[rows]
    present, absent = ((labels == code).sum(0) for code in (PRESENT, ABSENT))
    scored = np.flatnonzero((present >= FEWEST) & (absent > 0))
    if not len(scored):
        return None
    known = torch.from_numpy(np.array(labels))
    given = Observed(
        known, Targets.known(known), folds(known, FOLDS, seed), None, None, text.rows(text.available)
    )
    with torch.no_grad():
        scores = Teacher.of(given, SOURCES).fit(given).numpy()
    mean = np.mean([average_precision(scores[:, column], labels[:, column]) for column in scored])
    chance = np.mean(present[scored] / (labels[:, scored] != UNKNOWN).sum(0))
    return TextValue(float(mean), float(chance), len(scored))


def describe_text_value(found: TextValue | None) -> str:
    """Describe the value of texts in one line."""
    if found is None:
        return (
            f"texts alone: not evaluated, for no class has {FEWEST} known present labels and a known absent one among "
            "photos with text; label more"
        )
    return (
        f"texts alone rank known labels with a cross-validated mAP of {found.map:.1%}, chance {found.chance:.1%} "
        f"({found.classes} classes)"
    )
