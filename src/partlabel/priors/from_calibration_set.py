"""Correct probabilities by a calibration set: images drawn at random and labelled completely."""

import numpy as np

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.priors import recalibration, selection_model
from partlabel.priors.correction import Asked, Correction, overall_rates
from partlabel.priors.correction_doubt import DOUBT_ASKED
from partlabel.priors.scale import Scale, sigmoid
from partlabel.priors.selection_model import SelectionModel


def correct_by_calibration_set(
    scores: np.ndarray, labels: np.ndarray, model: SelectionModel, first: SelectionModel, asked: Asked
) -> Correction:
    """By a calibration set: random images from all its cells, unknown labels from those that the table leaves blank.

    Where the table knows the labels of these images too, unknown labels follow from the rates at which labels are
    known.
    """
    truth, known = asked.truth == PRESENT, asked.truth != UNKNOWN
    found = recalibration.fit(model.slope * asked.scores + model.offset, truth, known)
    scale = _recalibrated(Scale(model.slope, model.offset), found)
    probability = sigmoid(scale.slope * scores + scale.offset)
    rates = selection_model.rates_given(probability, labels)
    blank = known & asked.blank
    if blank.any():
        base = Scale(first.slope, first.offset + first.shift)
        of_blank = recalibration.fit(base.slope * asked.voted + base.offset, truth, blank)
    else:
        base = Scale(first.slope, first.offset + selection_model.shift(*rates))
        of_blank = found
    filling = _recalibrated(base, of_blank)
    covariance = of_blank.covariance + np.diag([0.0, DOUBT_ASKED**2])
    prevalence = probability.mean(0)
    overall = overall_rates(prevalence, labels)
    unknown = _share(filling.slope * asked.voted + filling.offset, asked.blank, prevalence)
    return Correction(
        "calibration set", len(truth), prevalence, unknown, *overall, scale, filling, of_blank.centre,
        covariance, of_blank.deviation,
    )  # fmt: skip


def _recalibrated(scale: Scale, found: recalibration.Recalibration) -> Scale:
    """One affine map after the other."""
    offset = found.centre + found.slope * (scale.offset - found.centre) + found.shift
    return Scale(found.slope * scale.slope, offset)


def _share(log_odds: np.ndarray, blank: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Mean probability of the unknown cells of each class."""
    mean = np.where(blank, sigmoid(log_odds), 0).sum(0) / np.maximum(blank.sum(0), 1)
    return np.where(blank.any(0), mean, otherwise)
