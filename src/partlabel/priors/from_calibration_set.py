"""Correct probabilities by a calibration set: images drawn at random and labelled completely."""

import numpy as np

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.priors import recalibration, selection_model
from partlabel.priors.correction import CalibrationSet, Correction, mean_of_unknown, overall_rates
from partlabel.priors.correction_doubt import DOUBT_CALIBRATED
from partlabel.priors.reviewed import Reviewed
from partlabel.priors.scale import Scale, sigmoid
from partlabel.priors.selection_model import SelectionModel


def correct_by_calibration_set(
    scores: np.ndarray,
    labels: np.ndarray,
    model: SelectionModel,
    first: SelectionModel,
    calibration_set: CalibrationSet,
    reviewed: Reviewed | None = None,
) -> Correction:
    """Correct by a calibration set: random images by all its cells, unknown labels by those unknown in the table.

    If the table knows the labels of these images too, the correction of unknown labels follows from the rates at which
    labels are known; those that a review asked about do not count, because their choice is ignorable given the score.
    """
    truth, known = calibration_set.truth == PRESENT, calibration_set.truth != UNKNOWN
    found = recalibration.fit(model.slope * calibration_set.scores + model.offset, truth, known)
    scale = found.after(Scale(model.slope, model.offset))
    probability = sigmoid(scale.slope * scores + scale.offset)
    selected = labels if reviewed is None else np.where(reviewed.asked, UNKNOWN, labels).astype(np.int8)
    rates = selection_model.rates_given(probability, selected)
    blank = known & calibration_set.blank
    if blank.any():
        base = Scale(first.slope, first.offset + first.shift)
        of_blank = recalibration.fit(base.slope * calibration_set.voted + base.offset, truth, blank)
    else:
        base = Scale(first.slope, first.offset + selection_model.shift(*rates))
        of_blank = found
    filling = of_blank.after(base)
    covariance = of_blank.covariance + np.diag([0.0, DOUBT_CALIBRATED**2])
    prevalence = probability.mean(0)
    overall = overall_rates(prevalence, labels)
    unknown = mean_of_unknown(filling, calibration_set.voted, calibration_set.blank, prevalence)
    return Correction(
        "calibration set", len(truth), prevalence, unknown, *overall, scale, filling, of_blank.centre,
        covariance, of_blank.deviation,
    )  # fmt: skip
