"""What tuning gains: decisions and probabilities before and after, cross-fitted."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.evaluation.metrics import DecisionCounts, harmonic
from partlabel.evaluation.thresholds import Goal, thresholds
from partlabel.posthoc.scale_fitting import cross_shares, mean_log_loss
from partlabel.posthoc.tuning_result import Gain
from partlabel.priors.scale import Scale

NAN = float("nan")


def decided_crossed(
    logits: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    shares: np.ndarray,
    by_share: Sequence[Scale],
    goal: Goal,
    shrink: float,
) -> tuple[Bool[np.ndarray, "image class"], ...]:
    """Decide labels at the common thresholds and at each class's own, all cross-fitted.

    `by_share` is the scale fitted without each fold, in the order of `cross_shares`; empty if logits do not change.
    """
    common, own = np.zeros(labels.shape, bool), np.zeros(labels.shape, bool)
    for number, (learn, judge) in enumerate(cross_shares(shares)):
        ours, theirs = logits[learn], logits[judge]
        if by_share:
            ours, theirs = by_share[number].logits(ours), by_share[number].logits(theirs)
        if not (labels[learn] != UNKNOWN).any():
            continue
        found = thresholds(ours, labels[learn], goal, shrink)
        common[judge], own[judge] = theirs >= found.common, theirs >= found.by_class
    return common, own


def gain_of(
    logits: np.ndarray, sure: np.ndarray, decided: tuple[np.ndarray, ...], labels: np.ndarray
) -> Gain:
    """Compare decisions and probabilities with those at probability 0.5 and without calibration."""
    scored = (labels == PRESENT).any(0) & (labels == ABSENT).any(0)
    three = [DecisionCounts.of(chosen, labels) for chosen in (logits >= 0, *decided)]
    f1 = [f1_by_class(each) for each in three]

    def means(values: list[np.ndarray]) -> tuple[float, float, float]:
        half, common, own = (float(each[scored].mean()) if scored.any() else NAN for each in values)
        return half, common, own

    def ends(values: list[np.ndarray]) -> tuple[tuple[float, float], ...]:
        columns = np.where(scored, np.stack([values[0], values[2]]), NAN)
        return tuple((float(before), float(after)) for before, after in columns.T)

    half, common, own = (harmonic(*each.summary(scored)[:2]) for each in three)
    precision, recall = [each.precision for each in three], [each.recall for each in three]
    return Gain(
        (mean_log_loss(logits, labels), mean_log_loss(sure, labels)),
        means(f1),
        (half, common, own),
        means(precision),
        means(recall),
        ends(f1),
        ends(precision),
        ends(recall),
    )


def f1_by_class(decisions: DecisionCounts) -> Float[np.ndarray, " class"]:
    """Compute the F1 of each class; 0 where nothing is right."""
    return 2 * decisions.right / np.maximum(decisions.made + decisions.wanted, 1)
