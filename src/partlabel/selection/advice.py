"""Recommended method for each kind of labels: the decision table of docs/which-method.md, and the line that applies.

The table summarises the grids of benchmarks/out_of_the_box.py and benchmarks/grids/. It is data; `advice` depends only
on which labels are known.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.targets import Labels
from partlabel.selection.candidates import EVIDENCE, Rule

MOSTLY_PRESENT = 0.25
"""Minimum share of present labels among the known labels for which they are taken for an editor's tags."""
MANY_TAGS = 4.0
"""Minimum number of present labels per image that this share must imply: three classes easily reach the share."""
TEXTS = "texts beside the photos inform unknown labels in training; the resulting model needs the image alone"
"""Why `evidence` is recommended where there are texts."""
WHOLE = 0.95
"""Minimum share of fully labelled images among those with a known label, for labels of the kind `whole images`."""
FEW = 5
"""Number of known present labels of a class below which its cross-validation is unreliable."""


@dataclass(frozen=True)
class Kind:
    """A line of the decision table.

    Attributes:
        name: Name of the kind of labels.
        looks: Description of a table of that kind.
        method: The method that was best, or close to it, on every collection.
        why: Reason: the disadvantage of the other methods.
        unknown_weight: Weight of unknown labels as absent, in [0, 1], for the teacher of the method `evidence`.
    """

    name: str
    looks: str
    method: str
    why: str
    unknown_weight: float = 0.0


COMPLETE = Kind(
    "complete", "every label is known", "bce", "there is nothing to assume; compare label_smoothing"
)
SINGLE = Kind(
    "one presence per image",
    "at most one present label per image is known, and no absent one",
    "assume_negative",
    "unknown labels have to count as absent; label_smoothing is as good, and methods that ignore them cannot learn",
    1.0,
)
PRESENCES = Kind(
    "presences only",
    "present labels are known, and no absent one",
    "label_smoothing",
    "unknown labels have to count as absent with a small weight; methods that ignore unknown labels cannot learn",
    1.0,
)
EDITOR = Kind(
    "mostly presences",
    "present labels are known far more often than absent ones, as where an editor set tags",
    "weak_negatives",
    "unknown labels are mostly absent: ignoring them loses up to 5 mAP, and pseudo-labels lose too",
    0.2,
)
IMAGES = Kind(
    "whole images",
    "all labels of some images are known, and none of the others",
    "soft_sst",
    "similar images vote for the unknown ones; counting them as absent loses",
)
SAMPLE = Kind(
    "a sample of the labels",
    "labels are known here and there, present and absent ones alike",
    "soft_sst",
    "similar images vote, which helps most with few known labels; counting unknown labels as absent loses",
)
KINDS = (SAMPLE, IMAGES, EDITOR, PRESENCES, SINGLE, COMPLETE)
"""All lines, in the order of docs/which-method.md."""


def kind_of(labels: Int8[np.ndarray, "image class"]) -> Kind:
    """Find the line of the decision table that applies to the labels of a table.

    Args:
        labels: PRESENT, ABSENT or UNKNOWN, of the training images.

    Raises:
        ValueError: No label is known.
    """
    present, known = labels == PRESENT, labels != UNKNOWN
    if not known.any():
        raise ValueError("no label is known: label some images, present and absent classes")
    if known.all():
        return COMPLETE
    if not (labels == ABSENT).any():
        return SINGLE if present.sum(1).max() == 1 else PRESENCES
    each = known.sum(1)
    if not each.all() and (each[each > 0] == labels.shape[1]).mean() >= WHOLE:
        return IMAGES
    share = present.sum() / known.sum()
    return EDITOR if share >= MOSTLY_PRESENT and share * labels.shape[1] >= MANY_TAGS else SAMPLE


def advice(labels: Int8[np.ndarray, "image class"], with_texts: bool = False) -> str:
    """Recommend a method for the labels of a table, with the reason, in one or two sentences.

    Args:
        labels: PRESENT, ABSENT or UNKNOWN, of the training images.
        with_texts: Whether texts accompany the images.

    Raises:
        ValueError: No label is known.
    """
    kind = kind_of(labels)
    share = (labels != UNKNOWN).mean()
    method, why = (EVIDENCE, TEXTS) if with_texts else (kind.method, kind.why)
    text = f"Labels: {kind.name} ({share:.1%} known). The recommended method is {method}: {why}."
    rare = int(((labels == PRESENT).sum(0) < FEW).sum())
    if rare:
        are = "class has" if rare == 1 else "classes have"
        text += (
            f" {rare} {are} fewer than {FEW} known present labels, too few for a reliable choice: label more."
        )
    return text


def unknown_weight(labels: Labels) -> float:
    """Return the weight of unknown labels as absent that suits a table's labels, for the teachers of `evidence`."""
    if not bool((labels != UNKNOWN).any()):
        return 0.0
    return kind_of(labels.numpy()).unknown_weight


def evidence_rule(labels: Labels) -> Rule:
    """Return the method `evidence` with the weight of unknown labels that suits a table's labels."""
    weight = unknown_weight(labels)
    return Rule(EVIDENCE, {"unknown_weight": weight} if weight else {})
