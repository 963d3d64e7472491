"""Which method suits which labels: the decision table of docs/which-method.md, and which of its lines applies.

The table was read off the grid of benchmarks/out_of_the_box.py and those of benchmarks/grids/. It is data; `advice`
only looks at which labels are known.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN

MOSTLY_PRESENT = 0.25
"""Share of presences among the known labels from which they are taken for an editor's tags."""
MANY_TAGS = 4.0
"""Presences per image that this share would imply, at least: a table of three classes may well have as many."""
WHOLE = 0.95
"""Share of the images with a known label of which all labels are known, from which whole images were labelled."""
FEW = 5
"""Known presences of a class below which cross-validation says little about it."""


@dataclass(frozen=True)
class Kind:
    """A line of the decision table.

    Attributes:
        name: Of the kind of labels.
        looks: How a table of that kind looks.
        method: The method that did best on it, or next to it, in every collection.
        why: What the others lost.
    """

    name: str
    looks: str
    method: str
    why: str


COMPLETE = Kind(
    "complete", "every label is known", "bce", "there is nothing to assume; compare label_smoothing"
)
SINGLE = Kind(
    "one presence per image",
    "at most one present label per image is known, and no absent one",
    "assume_negative",
    "unknown labels have to count as absent; label_smoothing is as good, and methods that ignore them cannot learn",
)
PRESENCES = Kind(
    "presences only",
    "present labels are known, and no absent one",
    "label_smoothing",
    "unknown labels have to count as absent, not too surely; methods that ignore them cannot learn",
)
EDITOR = Kind(
    "mostly presences",
    "present labels are known far more often than absent ones, as where an editor set tags",
    "weak_negatives",
    "unknown labels are mostly absent: ignoring them loses up to 5 mAP, and pseudo-labels lose too",
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
    "similar images vote, which is worth most where little is known; counting unknown labels as absent loses",
)
KINDS = (SAMPLE, IMAGES, EDITOR, PRESENCES, SINGLE, COMPLETE)
"""All lines, in the order of docs/which-method.md."""


def kind_of(labels: Int8[np.ndarray, "image class"]) -> Kind:
    """Find the line of the decision table that a table's labels fall under.

    Args:
        labels: PRESENT, ABSENT or UNKNOWN, of the training images.

    Raises:
        ValueError: No label is known.
    """
    present, known = labels == PRESENT, labels != UNKNOWN
    if not known.any():
        raise ValueError("no label is known: say of some images what they show and what not")
    if known.all():
        return COMPLETE
    if not (labels == ABSENT).any():
        return SINGLE if present.sum(1).max() == 1 else PRESENCES
    each = known.sum(1)
    if not each.all() and (each[each > 0] == labels.shape[1]).mean() >= WHOLE:
        return IMAGES
    share = present.sum() / known.sum()
    return EDITOR if share >= MOSTLY_PRESENT and share * labels.shape[1] >= MANY_TAGS else SAMPLE


def advice(labels: Int8[np.ndarray, "image class"]) -> str:
    """Say in one or two sentences which method suits a table's labels, and why.

    Args:
        labels: PRESENT, ABSENT or UNKNOWN, of the training images.

    Raises:
        ValueError: No label is known.
    """
    kind = kind_of(labels)
    share = (labels != UNKNOWN).mean()
    said = (
        f"Labels: {kind.name} ({share:.1%} known). What suits such labels best is {kind.method}: {kind.why}."
    )
    rare = int(((labels == PRESENT).sum(0) < FEW).sum())
    if rare:
        are = "class has" if rare == 1 else "classes have"
        said += f" {rare} {are} fewer than {FEW} known presences, too few to be sure of any choice: label more of them."
    return said
