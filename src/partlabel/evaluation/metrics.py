"""Metrics of scores, on known cells alone.

Average precision has two definitions, because the field means either by "mAP" (they differ by up to a point):

- `average_precision`: non-interpolated, `sum (R_n - R_{n-1}) P_n`, as in scikit-learn, ASL, ML-Decoder.
- `interpolated_average_precision`: the same sum under the precision envelope `max_{m >= n} P_m`, over all points, as in
  VOC since 2010 and the headline of SST and its family.

Both take one point per distinct score, as scikit-learn does, so that the result for tied scores does not depend on the
order of the images. (The authors' code takes one point per image; with ties its result depends on the sort.)

The decision metrics are those of Wang et al., CVPR 2016 (arXiv:1604.04573), and later papers: O for overall (over
cells), C for class (mean over classes); CF1 is the harmonic mean of CP and CR, not the mean of the classes' F1.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.messages import some
from partlabel.evaluation.result import NAN, ClassScore, Evaluation

__all__ = [
    "ClassScore",
    "Curve",
    "DecisionCounts",
    "Evaluation",
    "average_precision",
    "evaluate",
    "harmonic",
    "highest",
    "interpolated_average_precision",
    "precision_recall",
]


class Curve(NamedTuple):
    """Precision and recall at every distinct score, from the lowest (recall 1) to above the highest (recall 0)."""

    precision: Float[np.ndarray, " point"]
    recall: Float[np.ndarray, " point"]


def precision_recall(scores: Float[np.ndarray, " image"], labels: Int8[np.ndarray, " image"]) -> Curve | None:
    """Compute the precision-recall curve of one class over its known labels, with scikit-learn.

    None without a known present label.
    """
    from sklearn.metrics import precision_recall_curve

    known = labels != UNKNOWN
    if not (labels == PRESENT).any():
        return None
    precision, recall, _ = precision_recall_curve(labels[known] == PRESENT, scores[known])
    return Curve(precision, recall)


def average_precision(scores: Float[np.ndarray, " image"], labels: Int8[np.ndarray, " image"]) -> float:
    """Compute the non-interpolated AP of one class over its known labels, as `sklearn.metrics.average_precision_score`.

    Returns:
        A value in [0, 1]; NaN without a known present label.
    """
    curve = precision_recall(scores, labels)
    return NAN if curve is None else _area(curve.precision, curve.recall)


def interpolated_average_precision(
    scores: Float[np.ndarray, " image"], labels: Int8[np.ndarray, " image"]
) -> float:
    """Compute the all-point interpolated AP of one class over its known labels (VOC 2010 and later; SST's headline).

    Returns:
        A value in [0, 1], never below `average_precision`; NaN without a known present label.
    """
    curve = precision_recall(scores, labels)
    return NAN if curve is None else _area(_envelope(curve.precision), curve.recall)


def _area(precision: np.ndarray, recall: np.ndarray) -> float:
    return float(-np.sum(np.diff(recall) * precision[:-1]))


def _envelope(precision: np.ndarray) -> np.ndarray:
    """Compute the best precision at each recall or higher; the last point (recall 0) is no threshold."""
    return np.append(np.maximum.accumulate(precision[:-1]), precision[-1])


class DecisionCounts(NamedTuple):
    """Counts of decisions by class: `right` of `made`, out of `wanted`."""

    right: Int[np.ndarray, " class"]
    made: Int[np.ndarray, " class"]
    wanted: Int[np.ndarray, " class"]

    @classmethod
    def of(
        cls, chosen: Bool[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"]
    ) -> "DecisionCounts":
        """Count the chosen cells against the labels; unknown cells are ignored."""
        present, known = labels == PRESENT, labels != UNKNOWN
        return cls((chosen & present).sum(0), (chosen & known).sum(0), present.sum(0))

    @property
    def precision(self) -> Float[np.ndarray, " class"]:
        """Precision of each class; 0 where nothing was chosen, as in the authors' code."""
        return self.right / np.maximum(self.made, 1)

    @property
    def recall(self) -> Float[np.ndarray, " class"]:
        """Recall of each class; 0 where no label is present (such classes are not scored)."""
        return self.right / np.maximum(self.wanted, 1)

    def summary(self, scored: Bool[np.ndarray, " class"]) -> tuple[float, float, float, float, float, float]:
        """Compute OP, OR, OF1 over all cells and CP, CR, CF1 over scored classes; NaN where there are none."""
        if not scored.any():
            return (NAN,) * 6
        op = float(self.right.sum() / max(self.made.sum(), 1))
        or_ = float(self.right.sum() / self.wanted.sum())
        cp, cr = float(self.precision[scored].mean()), float(self.recall[scored].mean())
        return op, or_, harmonic(op, or_), cp, cr, harmonic(cp, cr)


def harmonic(precision: float, recall: float) -> float:
    """Compute the harmonic mean; 0 if both values are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def highest(
    scores: Float[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"], k: int
) -> Bool[np.ndarray, "image class"]:
    """Select the k highest known cells of every image: those that fewer than k known cells of the image exceed.

    All cells tied with the k-th are selected, so the result does not depend on the order of classes; unknown cells are
    ignored.
    """
    scores = np.where(labels == UNKNOWN, -np.inf, scores)
    kth = np.sort(scores, axis=1)[:, -min(k, scores.shape[1]), None]
    return (scores >= kth) & (labels != UNKNOWN)


def evaluate(
    scores: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    classes: Sequence[str],
    threshold: float = 0.0,
) -> Evaluation:
    """Compute every metric of the field over the known cells.

    A class without a known present or without a known absent label cannot be scored: it is listed with the reason and
    excluded from all means over classes (its known cells count in OP, OR and OF1, which are over cells).

    Args:
        scores: Logits; for AP any monotonic function of them.
        labels: PRESENT, ABSENT or UNKNOWN.
        classes: Class names.
        threshold: Score from which a class is predicted present; 0.5 for probabilities.

    Raises:
        ValueError: Shapes disagree, or a known cell's score is NaN.
    """
    _check(scores, labels, classes)
    chosen = scores >= threshold
    at, top3 = (
        DecisionCounts.of(chosen, labels),
        DecisionCounts.of(chosen & highest(scores, labels, 3), labels),
    )
    precision, recall = at.precision, at.recall
    per_class = tuple(
        _class_score(name, scores[:, c], labels[:, c], precision[c], recall[c])
        for c, name in enumerate(classes)
    )
    scored = np.array([c.skipped is None for c in per_class], dtype=bool)
    return Evaluation(
        per_class,
        len(labels),
        threshold,
        _mean([c.ap for c in per_class if c.skipped is None]),
        _mean([c.ap_interpolated for c in per_class if c.skipped is None]),
        *at.summary(scored),
        *top3.summary(scored),
    )


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else NAN


def _class_score(
    name: str, scores: np.ndarray, labels: np.ndarray, precision: float, recall: float
) -> ClassScore:
    present, absent, unknown = (int((labels == code).sum()) for code in (PRESENT, ABSENT, UNKNOWN))
    counts = (name, present, absent, unknown)
    if not present + absent:
        return ClassScore(*counts, NAN, NAN, NAN, NAN, "no label is known")
    if not present:
        return ClassScore(*counts, NAN, NAN, NAN, NAN, f"no known present label among {absent} known")
    if not absent:
        return ClassScore(*counts, NAN, NAN, NAN, NAN, f"no known absent label among {present} known")
    curve = precision_recall(scores, labels)
    assert curve is not None
    ap, interpolated = _area(curve.precision, curve.recall), _area(_envelope(curve.precision), curve.recall)
    return ClassScore(*counts, ap, interpolated, float(precision), float(recall))


def _check(scores: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> None:
    if scores.shape != labels.shape or scores.shape[1] != len(classes):
        raise ValueError(
            f"scores are {scores.shape}, labels {labels.shape} and there are {len(classes)} classes: "
            "give one row an image and one column a class in all three"
        )
    bad = ~np.isfinite(scores) & (labels != UNKNOWN)
    if bad.any():
        named = some(name for name, column in zip(classes, bad.T, strict=True) if column.any())
        rows = np.flatnonzero(bad.any(1))
        raise ValueError(
            f"{bad.sum()} scores of known labels are not finite (classes: {named}; rows: {some(rows)}): "
            "the model diverged, or an image could not be read"
        )
