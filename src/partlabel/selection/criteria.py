"""Criteria for candidates of the search: functions of out-of-fold logits and labels; lower is better."""

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
"""Number of known present labels of a class at which its average precision has the same weight as its likelihood."""
FEWEST = 5
"""Minimum number of known present labels of a class for its average precision to be used."""
LEAST = 1.0
"""Minimum cost of a constant prediction of a class, in nats."""


def unexplained(logits: Float[Tensor, "image class"], labels: Labels) -> float:
    """Compute the mean of `unexplained_by_class` over classes; lower is better.

    Classes without a known present label are left out.
    """
    used = (labels == PRESENT).any(0)
    if not used.any():
        return float(calibrated_costs(logits, labels).sum())
    return float(unexplained_by_class(logits, labels)[used].mean())


def unexplained_by_class(logits: Float[Tensor, "image class"], labels: Labels) -> Float[Tensor, " class"]:
    """Compute `(1 - w) U + w (1 - AP)` of each class, `w = n / (n + FEW)` for n known present labels; lower is better.

    With fewer than `FEWEST` known present labels w is 0.

    U is `relative_costs`. AP is the mean of two average precisions: on the known labels, and of the known present
    labels among all labels; only the latter where no absent label is known. Average precision is the quantity of
    interest, but has a high variance with few present labels; the likelihood has a low variance, but depends little on
    the ranking. docs/log.md compares this with other criteria.
    """
    present = labels == PRESENT
    among_all = average_precisions(logits, present, torch.ones_like(present))
    among_known = average_precisions(logits, present, labels != UNKNOWN)
    one_sided = (labels == ABSENT).sum(0) == 0
    ranked = torch.where(one_sided, among_all, (among_all + among_known) / 2)
    count = present.sum(0)
    weight = torch.where(count < FEWEST, 0.0, count / (count + FEW))
    return (1 - weight) * relative_costs(logits, labels) + weight * (1 - ranked)


def relative_costs(logits: Float[Tensor, "image class"], labels: Labels) -> Float[Tensor, " class"]:
    """Compute `(K + A) / (null K + null A)` of each class: 1 for a constant prediction, lower is better.

    K is the cross-entropy of the known labels of a class, A that of all its labels with the unknown ones assumed
    absent, each after a calibration of its own; null K and null A are those of the best constant prediction (so that
    1 minus the ratio is McFadden's pseudo R^2, "Conditional logit analysis of qualitative choice behavior", 1974).

    K alone is uninformative where few or no absent labels are known; A alone ignores the known absent labels. Every
    class has the same weight, so that common classes do not dominate.
    """
    assumed = (labels == PRESENT).to(labels.dtype)
    costs = calibrated_costs(logits, labels) + calibrated_costs(logits, assumed)
    return costs / (_null(labels) + _null(assumed))


def average_precisions(
    logits: Float[Tensor, "image class"],
    present: Bool[Tensor, "image class"],
    among: Bool[Tensor, "image class"],
) -> Float[Tensor, " class"]:
    """Compute the average precision of each class on some of its labels; 0 where none of them is present."""
    order = logits.masked_fill(~among, -torch.inf).argsort(dim=0, descending=True, stable=True)
    hits = (present & among).gather(0, order).double()
    ranks = torch.arange(1, len(hits) + 1, device=hits.device)[:, None]
    return (hits.cumsum(0) / ranks * hits).sum(0) / hits.sum(0).clamp(min=1)


def calibrated_cross_entropy(logits: Float[Tensor, "image class"], labels: Labels) -> float:
    """Compute the mean cross-entropy of the known labels after calibration."""
    return float(calibrated_costs(logits, labels).sum()) / max(int((labels != UNKNOWN).sum()), 1)


def calibrated_costs(logits: Float[Tensor, "image class"], labels: Labels) -> Float[Tensor, " class"]:
    """Sum the cross-entropy of each class's known labels after calibration by a common slope and an offset per class.

    Without calibration, a model with shifted logits, as from assuming unknown labels absent, would lose to one that
    ranks worse. The logits of each class are first centred on the log-odds of its known labels, so that the penalty on
    the offsets, which bounds those of rare classes, does not depend on the shift. All logits are divided by their
    standard deviation, so that the penalty on the slope does not depend on their scale: a very strong weight decay
    gives tiny logits, which may rank well.
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
    """Sum the cross-entropy of each class's known labels for the best constant prediction."""
    present, known = (labels == PRESENT).sum(0).double(), (labels != UNKNOWN).sum(0).double()
    absent = known - present
    cost = -(
        torch.xlogy(present, present / known.clamp(min=1)) + torch.xlogy(absent, absent / known.clamp(min=1))
    )
    return cost.clamp(min=LEAST)


def exceeds_error(gains: Float[Tensor, " class"]) -> bool:
    """Return whether the mean of some gains exceeds its standard error; False for fewer than two."""
    return bool(len(gains) > 1 and gains.mean() > gains.std() / len(gains) ** 0.5)
