"""Find the correction of probabilities by the best source there is."""

import numpy as np
from jaxtyping import Float, Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.priors import selection_model
from partlabel.priors.correction import CalibrationSet, Correction, Source, overall_rates
from partlabel.priors.correction_doubt import DOUBT_ABSENT, DOUBT_FAIR, NINETY, doubt, log_bound
from partlabel.priors.estimators import bounded
from partlabel.priors.from_calibration_set import correct_by_calibration_set
from partlabel.priors.from_drawn_labels import correct_by_drawn_labels
from partlabel.priors.from_prevalence import correct_by_prevalence
from partlabel.priors.reviewed import Reviewed
from partlabel.priors.scale import Scale
from partlabel.priors.selection_model import SelectionModel

SIGNIFICANT = 20.0
"""Minimum gain in log-likelihood (nats) of different rates over equal ones, for a sample to count as unfair."""
ENOUGH = 50
"""Minimum number of known present labels for an estimate of how labels became known."""


def correct(
    scores: Float[np.ndarray, "image class"],
    voted: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    calibration_set: CalibrationSet | None = None,
    prevalence: Float[np.ndarray, " class"] | float | None = None,
    known: tuple[SelectionModel, bool] | None = None,
    reviewed: Reviewed | None = None,
) -> Correction:
    """Compute the correction from the best available source: calibration set, given prevalence, drawn labels, estimate.

    Args:
        scores: Logits of images that the model was not trained on.
        voted: Logits after label completion by each image's other known labels; `scores` without completion.
        labels: PRESENT, ABSENT or UNKNOWN, of these images.
        calibration_set: Calibration set; None if there is none.
        prevalence: Share of images that show each class, NaN where it is not known; or the mean number of present
            classes per image; None if it is not given.
        known: Result of `estimated` for these scores, if it was computed before.
        reviewed: Known labels that a review asked about; None if it asked about none.

    Raises:
        ValueError: No label is known to be present, or more are known to be than the given prevalence allows.
    """
    labels, reviewed = _without_few(labels, reviewed)
    model, fair = known or estimated(scores, labels, _too_few(labels) or None, reviewed)
    same = voted is scores
    first = model if same else estimated(voted, labels, fair, reviewed)[0]
    if calibration_set is not None:
        return correct_by_calibration_set(scores, labels, model, first, calibration_set, reviewed)
    if prevalence is not None:
        return correct_by_prevalence(scores, voted, labels, model, first, prevalence)
    if reviewed is not None:
        fair = fair and not reviewed.matters(labels)
        if not fair and reviewed.are_enough(labels):
            return correct_by_drawn_labels(scores, voted, labels, model, first, reviewed)
    absent = bool((labels == ABSENT).any())
    covariance, deviation, centre = doubt(scores, labels, model, fair)
    if absent:
        covariance[1, 1] += (DOUBT_FAIR if fair else DOUBT_ABSENT) ** 2
    else:
        covariance[1, 1] += DOUBT_ABSENT**2 + (log_bound(model) / NINETY) ** 2
    return _build(
        "fair sample" if fair else "estimate",
        len(labels),
        labels,
        model,
        first,
        centre,
        covariance,
        deviation,
    )


def _too_few(labels: Int8[np.ndarray, "image class"]) -> bool:
    """Return whether there are too few known present labels to detect an unfair sample, while some absent are known."""
    return bool((labels == PRESENT).sum() < ENOUGH and (labels == ABSENT).any())


def estimated(
    scores: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    fair: bool | None = None,
    reviewed: Reviewed | None = None,
) -> tuple[SelectionModel, bool]:
    """Estimate the selection model, and whether known labels are a fair sample (different rates are not more likely).

    Args:
        scores: Logits of images that the model was not trained on.
        labels: PRESENT, ABSENT or UNKNOWN, of these images.
        fair: Whether they are a fair sample, if that was determined before; None to determine it.
        reviewed: Known labels that a review asked about; how the other labels became known is estimated without them.
    """
    labels, reviewed = _without_few(labels, reviewed)
    if not (labels == ABSENT).any():
        return bounded(scores, labels), False
    asked = np.zeros(labels.shape, bool) if reviewed is None else reviewed.asked
    if not ((labels == ABSENT) & ~asked).any() and ((labels == PRESENT) & ~asked).any():
        return selection_model.fit(scores, labels, asked=asked), False
    equal = selection_model.fit(scores, labels, fair=True, asked=asked)
    if fair:
        return equal, True
    free = selection_model.fit(scores, labels, asked=asked)
    if fair is None and free.log_likelihood - equal.log_likelihood < SIGNIFICANT:
        return equal, True
    return free, False


def _without_few(
    labels: Int8[np.ndarray, "image class"], reviewed: Reviewed | None
) -> tuple[Int8[np.ndarray, "image class"], Reviewed | None]:
    """Leave out fewer than `ENOUGH` asked labels if all other known labels are present.

    Present labels alone only bound the estimate, and a few asked ones do not change that.
    """
    if reviewed is None or reviewed.asked.sum() >= ENOUGH or reviewed.are_enough(labels):
        return labels, reviewed
    others = labels[~reviewed.asked]
    if (others == ABSENT).any() or not (others == PRESENT).any():
        return labels, reviewed
    return np.where(reviewed.asked, UNKNOWN, labels).astype(np.int8), None


def _build(
    source: Source,
    images: int,
    labels: np.ndarray,
    model: SelectionModel,
    first: SelectionModel,
    centre: float,
    covariance: np.ndarray,
    deviation: np.ndarray,
) -> Correction:
    """Build a correction from the recalibration of random images and that of unknown labels."""
    rates = overall_rates(model.prevalence, labels)
    filling = Scale(first.slope, first.offset + first.shift)
    return Correction(
        source, images, model.prevalence, first.unknown, *rates, Scale(model.slope, model.offset), filling,
        centre, covariance, deviation,
    )  # fmt: skip
