"""What a candidate of the search is judged by: a function of out-of-fold logits and labels, lower is better."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.targets import Labels
from partlabel.evaluation.calibration import calibrate

Criterion = Callable[[Float[Tensor, "image class"], Labels], float]
FEW = 10.0
"""Known presences of a class at which its average precision counts as much as its likelihood."""
FEWEST = 5
"""Known presences of a class, for its average precision to take part."""
LEAST = 1.0
"""Nats that a constant prediction of a class is taken to cost, at least."""


def unexplained(logits: Float[Tensor, "image class"], labels: Labels) -> float:
    """Mean over classes of `unexplained_by_class`; lower is better.

    Classes of which nothing is known to be present are left out.
    """
    used = (labels == PRESENT).any(0)
    if not used.any():
        return float(calibrated_costs(logits, labels).sum())
    return float(unexplained_by_class(logits, labels)[used].mean())


def unexplained_by_class(logits: Float[Tensor, "image class"], labels: Labels) -> Float[Tensor, " class"]:
    """`(1 - w) U + w (1 - AP)` of each class, `w = n / (n + FEW)` for n known presences; lower is better.

    With fewer than `FEWEST` known presences w is 0.

    U is `relative_costs`, AP the mean of the average precision on known labels and of known presences among all
    labels; the latter alone where no absence is known. Average precision is what is wanted, and noise over a few
    presences; the likelihood is steady, and says little about which labels come first. docs/log.md compares this with
    others.
    """
    present = labels == PRESENT
    among_all = average_precisions(logits, present, torch.ones_like(present))
    among_known = average_precisions(logits, present, labels != UNKNOWN)
    one_sided = (labels == ABSENT).sum(0) == 0
    ranked = torch.where(one_sided, among_all, (among_all + among_known) / 2)
    count = present.sum(0)
    weight = torch.where(count < FEWEST, 0.0, count / (count + FEW))
    return (1 - weight) * relative_costs(logits, labels) + weight * (1 - ranked)


def relative_cross_entropy(logits: Float[Tensor, "image class"], labels: Labels) -> float:
    """Mean of `relative_costs` over the classes of which something is known to be present."""
    used = (labels == PRESENT).any(0)
    if not used.any():
        return float(calibrated_costs(logits, labels).sum())
    return float(relative_costs(logits, labels)[used].mean())


def relative_costs(logits: Float[Tensor, "image class"], labels: Labels) -> Float[Tensor, " class"]:
    """`(K + A) / (null K + null A)` of each class: 1 for a constant prediction, lower is better.

    K is the cross-entropy of the known labels of a class, A that of all its labels with the unknown ones taken for
    absent, each after a calibration of its own; null K and null A are those of the best constant prediction (so that
    1 minus the ratio is McFadden's pseudo R^2, "Conditional logit analysis of qualitative choice behavior", 1974).

    K alone says little where few absent labels are known, and nothing where there are none; A alone does not use what
    absent labels say. As every class counts the same, the common ones do not decide alone.
    """
    assumed = (labels == PRESENT).to(labels.dtype)
    costs = calibrated_costs(logits, labels) + calibrated_costs(logits, assumed)
    return costs / (_null(labels) + _null(assumed))


def average_precisions(
    logits: Float[Tensor, "image class"],
    present: Bool[Tensor, "image class"],
    among: Bool[Tensor, "image class"],
) -> Float[Tensor, " class"]:
    """Average precision of each class on some of its labels; 0 where none of them is present."""
    order = logits.masked_fill(~among, -torch.inf).argsort(dim=0, descending=True, stable=True)
    hits = (present & among).gather(0, order).double()
    ranks = torch.arange(1, len(hits) + 1, device=hits.device)[:, None]
    return (hits.cumsum(0) / ranks * hits).sum(0) / hits.sum(0).clamp(min=1)


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
    penalty on the offsets, which keeps those of rare classes in bounds, does not depend on the shift; and all are
    divided by their spread, so that the penalty on the slope does not depend on it: a very strong weight decay leaves
    logits that are tiny, and may rank well.
    """
    known = labels != UNKNOWN
    prior = (((labels == PRESENT).sum(0) + 0.5) / (known.sum(0) + 1)).logit()
    centred = logits - logits.mean(0)
    centred = centred / centred.square().mean().sqrt().clamp(min=1e-30)
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
