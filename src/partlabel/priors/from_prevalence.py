"""Correct probabilities for a given prevalence."""

import warnings

import numpy as np
from jaxtyping import Float, Int8

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.priors import selection_model
from partlabel.priors.correction import Correction, overall_rates
from partlabel.priors.correction_doubt import DOUBT_PRIOR, doubt
from partlabel.priors.scale import Scale, sigmoid
from partlabel.priors.selection_model import SelectionModel


def correct_by_prevalence(
    scores: np.ndarray,
    voted: np.ndarray,
    labels: np.ndarray,
    model: SelectionModel,
    first: SelectionModel,
    prevalence: np.ndarray | float,
) -> Correction:
    """Correct by a given prevalence: shift every class until its mean probability is the given one.

    A mean number of classes per image shifts all classes equally; a class without a share is shifted by the mean of the
    others. Unknown labels are shifted until the known present and the expected unknown present labels together have the
    given prevalence.
    """
    odds = model.slope * scores + model.offset
    if np.ndim(prevalence) == 0:
        raised = np.full(odds.shape[1], shift_to(odds, float(prevalence) / odds.shape[1]))
    else:
        wanted = np.asarray(prevalence, np.float64)
        raised = np.array(
            [
                shift_to(odds[:, [c]], wanted[c]) if wanted[c] == wanted[c] else np.nan
                for c in range(len(wanted))
            ]
        )
        raised = np.where(np.isnan(raised), np.nanmean(raised), raised)
    probability = sigmoid(odds + raised)
    rates = selection_model.rates_given(probability, labels)
    blank = labels == UNKNOWN
    unknown = _unknown_given(odds + raised + selection_model.shift(*rates), labels, prevalence)
    base = first.slope * voted + first.offset
    own = np.array(
        [_shift_or(base[blank[:, c], c][:, None], unknown[c], raised[c]) for c in range(len(unknown))]
    )
    covariance, deviation, centre = doubt(scores, labels, model, False)
    covariance[1, 1] = DOUBT_PRIOR**2
    overall = overall_rates(probability.mean(0), labels)
    return Correction(
        "prevalence", len(labels), probability.mean(0), unknown, *overall,
        Scale(model.slope, model.offset + raised), Scale(first.slope, first.offset + own), centre, covariance,
        deviation,
    )  # fmt: skip


def _unknown_given(
    log_odds: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    prevalence: Float[np.ndarray, " class"] | float,
) -> Float[np.ndarray, " class"]:
    """Compute the share of unknown labels that are present: the given prevalence, less the known present labels.

    Args:
        log_odds: Initial estimate for unknown labels. It divides a mean number of classes per image among the classes,
            and is kept for a class without a given share.
        labels: PRESENT, ABSENT or UNKNOWN.
        prevalence: Given prevalence, as in `correct`.
    """
    blank, known = labels == UNKNOWN, (labels == PRESENT).sum(0)
    number = np.maximum(blank.sum(0), 1)
    if np.ndim(prevalence) == 0:
        known_mean = known.sum() / max(len(labels), 1)
        if prevalence < known_mean:
            raise ValueError(
                f"--prevalence {prevalence:g}: the table's known labels alone have {known_mean:.3g} present classes "
                "per image; give the mean number of all present classes per image, known and unknown"
            )
        share = (float(prevalence) * len(labels) - known.sum()) / max(blank.sum(), 1)
        log_odds = log_odds + _shift_or(log_odds[blank][:, None], share, 0.0)
        return np.where(blank, sigmoid(log_odds), 0).sum(0) / number
    guess = np.where(blank, sigmoid(log_odds), 0).sum(0) / number
    wanted = np.asarray(prevalence, np.float64)
    if more := int((known > wanted * len(labels)).sum()):
        warnings.warn(
            f"--prevalence: {more} of {len(wanted)} classes are known to be present in more images than their share "
            "allows; none of their unknown labels is expected to be present",
            stacklevel=2,
        )
    return np.where(np.isnan(wanted), guess, ((wanted * len(labels) - known) / number).clip(0, 1))


def shift_to(log_odds: Float[np.ndarray, "image class"], share: float) -> float:
    """Find, by bisection in [-30, 30], the shift of log-odds at which the mean probability is `share`."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sigmoid(log_odds + middle).mean() < share else (low, middle)
    return (low + high) / 2


def _shift_or(log_odds: np.ndarray, share: float, otherwise: float) -> float:
    return shift_to(log_odds, float(np.clip(share, 1e-6, 1 - 1e-6))) if len(log_odds) else otherwise
