"""Correct probabilities by a calibration set: images drawn at random and labelled completely."""

import numpy as np

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.priors import recalibration, selection_model
from partlabel.priors.correction import CalibrationSet, Correction, overall_rates
from partlabel.priors.correction_doubt import DOUBT_CALIBRATED
from partlabel.priors.scale import Scale, sigmoid
from partlabel.priors.selection_model import SelectionModel


def correct_by_calibration_set(
    scores: np.ndarray,
    labels: np.ndarray,
    model: SelectionModel,
    first: SelectionModel,
    calibration_set: CalibrationSet,
) -> Correction:
    """Correct by a calibration set: random images by all its cells, unknown labels by those unknown in the table.

    If the table knows the labels of these images too, the correction of unknown labels follows from the rates at which
    labels are known.
    """
    truth, known = calibration_set.truth == PRESENT, calibration_set.truth != UNKNOWN
    found = recalibration.fit(model.slope * calibration_set.scores + model.offset, truth, known)
    scale = _recalibrated(Scale(model.slope, model.offset), found)
    probability = sigmoid(scale.slope * scores + scale.offset)
    rates = selection_model.rates_given(probability, labels)
    blank = known & calibration_set.blank
    if blank.any():
        base = Scale(first.slope, first.offset + first.shift)
        of_blank = recalibration.fit(base.slope * calibration_set.voted + base.offset, truth, blank)
    else:
        base = Scale(first.slope, first.offset + selection_model.shift(*rates))
        of_blank = found
    filling = _recalibrated(base, of_blank)
    covariance = of_blank.covariance + np.diag([0.0, DOUBT_CALIBRATED**2])
    prevalence = probability.mean(0)
    overall = overall_rates(prevalence, labels)
    unknown = _share(
        filling.slope * calibration_set.voted + filling.offset, calibration_set.blank, prevalence
    )
    return Correction(
        "calibration set", len(truth), prevalence, unknown, *overall, scale, filling, of_blank.centre,
        covariance, of_blank.deviation,
    )  # fmt: skip


def _recalibrated(scale: Scale, found: recalibration.Recalibration) -> Scale:
    """Compose an affine map and a recalibration."""
    offset = found.centre + found.slope * (scale.offset - found.centre) + found.shift
    return Scale(found.slope * scale.slope, offset)


def _share(log_odds: np.ndarray, blank: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Compute the mean probability of the unknown cells of each class."""
    mean = np.where(blank, sigmoid(log_odds), 0).sum(0) / np.maximum(blank.sum(0), 1)
    return np.where(blank.any(0), mean, otherwise)
