"""Find the correction of probabilities by the best source there is."""

import numpy as np
from jaxtyping import Float, Int8

from partlabel.core.labels import ABSENT, PRESENT
from partlabel.priors import selection_model
from partlabel.priors.correction import Asked, Correction, Source, overall_rates
from partlabel.priors.correction_doubt import DOUBT_ABSENT, DOUBT_FAIR, NINETY, doubt, log_bound
from partlabel.priors.estimators import bounded
from partlabel.priors.from_calibration_set import correct_by_calibration_set
from partlabel.priors.from_prevalence import correct_by_prevalence
from partlabel.priors.scale import Scale
from partlabel.priors.selection_model import SelectionModel

SIGNIFICANT = 20.0
"""Nats of log-likelihood by which rates that differ have to be better than equal ones, for a sample to be unfair."""
ENOUGH = 50
"""Labels known to be present from which on it is estimated how labels became known."""


def correct(
    scores: Float[np.ndarray, "image class"],
    voted: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    asked: Asked | None = None,
    prevalence: Float[np.ndarray, " class"] | float | None = None,
    known: tuple[SelectionModel, bool] | None = None,
) -> Correction:
    """Find the correction by the best source there is: calibration set, given prevalence, estimate.

    Args:
        scores: Logits of images that the model did not learn from.
        voted: The same after the vote of each image's other known labels; the same where nothing votes.
        labels: What is known of them.
        asked: The calibration set.
        prevalence: Share of images that show each class, NaN where it is not known; or the mean number of present
            classes per image.
        known: What `estimated` gave for these scores, where it was asked before.

    Raises:
        ValueError: No label is known to be present, or more are than the given prevalence allows.
    """
    model, fair = known or estimated(scores, labels, _too_few(labels) or None)
    same = voted is scores
    first = model if same else estimated(voted, labels, fair)[0]
    if asked is not None:
        return correct_by_calibration_set(scores, labels, model, first, asked)
    if prevalence is not None:
        return correct_by_prevalence(scores, voted, labels, model, first, prevalence)
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
    """Whether there are too few known present labels to tell a fair sample from another, and absent ones too."""
    return bool((labels == PRESENT).sum() < ENOUGH and (labels == ABSENT).any())


def estimated(
    scores: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    fair: bool | None = None,
) -> tuple[SelectionModel, bool]:
    """The selection model, and whether known labels are a fair sample: rates that differ are not much more likely.

    Args:
        scores: Logits of images that the model did not learn from.
        labels: What is known of them.
        fair: Whether they are a fair sample, where that was found before.
    """
    if not (labels == ABSENT).any():
        return bounded(scores, labels), False
    equal = selection_model.fit(scores, labels, fair=True)
    if fair:
        return equal, True
    free = selection_model.fit(scores, labels)
    if fair is None and free.log_likelihood - equal.log_likelihood < SIGNIFICANT:
        return equal, True
    return free, False


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
    """From the model of random images and that of unknown labels."""
    rates = overall_rates(model.prevalence, labels)
    filling = Scale(first.slope, first.offset + first.shift)
    return Correction(
        source, images, model.prevalence, first.unknown, *rates, Scale(model.slope, model.offset), filling,
        centre, covariance, deviation,
    )  # fmt: skip
