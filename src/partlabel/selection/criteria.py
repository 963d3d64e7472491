"""What a candidate of the search is judged by: a function of out-of-fold logits and labels, lower is better."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from partlabel.calibration import calibrate
from partlabel.codes import PRESENT, UNKNOWN
from partlabel.labels import Labels

Criterion = Callable[[Float[Tensor, "image class"], Labels], float]
LEAST = 1.0
"""Nats that a constant prediction of a class is taken to cost, at least."""


def relative_cross_entropy(logits: Float[Tensor, "image class"], labels: Labels) -> float:
    """Mean over classes of `(K + A) / (null K + null A)`: 1 for a constant prediction, lower is better.

    K is the cross-entropy of the known labels of a class, A that of all its labels with the unknown ones taken for
    absent, each after a calibration of its own; null K and null A are those of the best constant prediction (so that
    1 minus the ratio is McFadden's pseudo R^2, "Conditional logit analysis of qualitative choice behavior", 1974).

    K alone says little where few absent labels are known, and nothing where there are none; A alone does not use what
    absent labels say. As every class counts the same, the common ones do not decide alone. Classes of which nothing is
    known to be present are left out. docs/log.md compares it with others.
    """
    known = calibrated_costs(logits, labels)
    assumed_labels = (labels == PRESENT).to(labels.dtype)
    assumed = calibrated_costs(logits, assumed_labels)
    ratio = (known + assumed) / (_null(labels) + _null(assumed_labels))
    used = (labels == PRESENT).any(0)
    return float(ratio[used].mean()) if used.any() else float(known.sum())


def calibrated_cross_entropy(logits: Float[Tensor, "image class"], labels: Labels) -> float:
    """Mean cross-entropy of the known labels after calibration."""
    return float(calibrated_costs(logits, labels).sum()) / max(int((labels != UNKNOWN).sum()), 1)


def cross_entropy(logits: Float[Tensor, "image class"], labels: Labels) -> float:
    """Mean cross-entropy of the known labels, as the logits are."""
    known = (labels != UNKNOWN).double()
    cost = binary_cross_entropy_with_logits(
        logits.double(), (labels == PRESENT).double(), known, reduction="sum"
    )
    return float(cost) / max(float(known.sum()), 1.0)


def calibrated_costs(logits: Float[Tensor, "image class"], labels: Labels) -> Float[Tensor, " class"]:
    """Cross-entropy of each class's known labels, summed, after calibration: a common slope, an offset per class.

    Without calibration, a model whose logits are shifted, as assuming unknown labels absent does, would lose to one
    that ranks worse. The logits of each class are first centred on the log-odds of its known labels, so that the
    penalty on the offsets, which keeps those of rare classes in bounds, does not depend on the shift.
    """
    known = labels != UNKNOWN
    prior = (((labels == PRESENT).sum(0) + 0.5) / (known.sum(0) + 1)).logit()
    centred = logits - logits.mean(0)
    found = calibrate(centred + prior, prior, labels)
    odds = prior + found.offset + found.slope * centred
    return binary_cross_entropy_with_logits(
        odds, (labels == PRESENT).to(odds), known.to(odds), reduction="none"
    ).sum(0)


def _null(labels: Labels) -> Float[Tensor, " class"]:
    """Cross-entropy of each class's known labels, summed, by the best constant prediction."""
    present, known = (labels == PRESENT).sum(0).double(), (labels != UNKNOWN).sum(0).double()
    absent = known - present
    cost = -(
        torch.xlogy(present, present / known.clamp(min=1)) + torch.xlogy(absent, absent / known.clamp(min=1))
    )
    return cost.clamp(min=LEAST)
