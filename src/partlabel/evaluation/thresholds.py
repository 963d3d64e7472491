"""Decision thresholds: the best one of each class for a goal, shrunk towards the best common one.

`t_c = t + n_c / (n_c + k) (own_c - t)` in log-odds, where `t` is the best common threshold, `own_c` the best one on the
class's known labels, and `n_c` the number of images known to show it (docs/tuning.md).
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int8

from partlabel.core.labels import PRESENT, UNKNOWN

SURE = 16.0
"""Log-odds beyond which a probability equals 0 or 1 in single precision."""
CUTS = 512
"""Number of candidates for the common threshold: quantiles of all scores."""

Aim = Literal["f1", "precision", "recall"]


@dataclass(frozen=True)
class Goal:
    """The goal of thresholds.

    Attributes:
        aim: `f1` for the largest F1; `precision` for the largest recall at a precision; `recall` for the reverse.
        at: Precision or recall to reach, in (0, 1].
    """

    aim: Aim = "f1"
    at: float = 0.9

    def value(
        self, precision: Float[np.ndarray, " cut"], recall: Float[np.ndarray, " cut"]
    ) -> Float[np.ndarray, " cut"]:
        """Score each threshold; where none reaches the goal, the nearest is best."""
        if self.aim == "f1":
            return 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        reached, other = (precision, recall) if self.aim == "precision" else (recall, precision)
        return np.where(reached >= self.at, 1 + other, reached)

    def common(
        self, logits: Float[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"]
    ) -> float:
        """Find one threshold for all classes, by the mean F1 or by precision and recall over all known labels.

        By the F1 over all labels it would be that of the commonest classes, and rare ones would never be predicted
        present.
        """
        known = labels != UNKNOWN
        if self.aim != "f1":
            return threshold(logits[known], labels[known] == PRESENT, self)
        cuts = np.unique(np.quantile(logits[known].astype(np.float64), np.linspace(0, 1, CUTS)))[::-1]
        total = np.zeros(len(cuts))
        for c in range(labels.shape[1]):
            scores, present = logits[known[:, c], c], labels[known[:, c], c] == PRESENT
            right, made = (
                len(some) - np.searchsorted(np.sort(some), cuts) for some in (scores[present], scores)
            )
            total += 2 * right / np.maximum(made + present.sum(), 1)
        return float(np.clip(cuts[np.argmax(total)], -SURE, SURE))


class Thresholds(NamedTuple):
    """Log-odds from which on classes are predicted present.

    Attributes:
        common: The best common threshold.
        by_class: Thresholds between that and the best one of each class.
    """

    common: float
    by_class: Float[np.ndarray, " class"]


def thresholds(
    logits: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    goal: Goal,
    shrink: float,
) -> Thresholds:
    """Find the threshold of each class, shrunk towards the common one where few images are known to show the class.

    `t_c = t + n_c / (n_c + shrink) (own_c - t)`; a class with labels of one kind only has the common threshold.
    """
    known = labels != UNKNOWN
    common = goal.common(logits, labels)
    by_class = np.full(labels.shape[1], common)
    for c in range(labels.shape[1]):
        here = labels[known[:, c], c] == PRESENT
        if here.any() and not here.all():
            own = threshold(logits[known[:, c], c], here, goal)
            by_class[c] += here.sum() / (here.sum() + shrink) * (own - common)
    return Thresholds(common, by_class)


def threshold(scores: Float[np.ndarray, " label"], present: Bool[np.ndarray, " label"], goal: Goal) -> float:
    """Find the best threshold, half way to the next lower score; of equally good ones, the highest."""
    order = np.argsort(-scores, kind="stable")
    ordered, right = scores[order].astype(np.float64), np.cumsum(present[order])
    last = np.append(ordered[1:] < ordered[:-1], True)  # tied scores come in together
    made = np.flatnonzero(last) + 1
    value = goal.value(right[last] / made, right[last] / max(int(right[-1]), 1))
    best = int(np.argmax(value))
    lowest = ordered[last][best]
    below = ordered[last][best + 1] if best + 1 < len(made) else lowest
    return float(np.clip((lowest + below) / 2, -SURE, SURE))
