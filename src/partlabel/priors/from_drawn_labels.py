"""Correct probabilities by the labels that a review drew at random among its other questions."""

import numpy as np

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.priors import recalibration
from partlabel.priors.correction import Correction, mean_of_unknown, overall_rates
from partlabel.priors.correction_doubt import DOUBT_DRAWN
from partlabel.priors.reviewed import Reviewed
from partlabel.priors.scale import Scale, sigmoid
from partlabel.priors.selection_model import SelectionModel


def correct_by_drawn_labels(
    scores: np.ndarray,
    voted: np.ndarray,
    labels: np.ndarray,
    model: SelectionModel,
    first: SelectionModel,
    reviewed: Reviewed,
) -> Correction:
    """Correct by drawn labels: unknown labels by the drawn ones, random images by all known ones, weighted.

    Arguments are those of `correct`, with the selection models of `scores` and of `voted`.
    """
    labels = labels if reviewed.closed is None else reviewed.closed
    present, known = labels == PRESENT, reviewed.weights(labels)
    found = recalibration.fit(model.slope * scores + model.offset, present, known > 0, known)
    scale = found.after(Scale(model.slope, model.offset))
    base = Scale(first.slope, first.offset + first.shift)
    of_unknown = recalibration.fit(base.slope * voted + base.offset, present, reviewed.drawn)
    filling = of_unknown.after(base)
    prevalence = sigmoid(scale.slope * scores + scale.offset).mean(0)
    return Correction(
        "drawn labels",
        int(reviewed.drawn.sum()),
        prevalence,
        mean_of_unknown(filling, voted, labels == UNKNOWN, prevalence),
        *overall_rates(prevalence, labels),
        scale,
        filling,
        of_unknown.centre,
        of_unknown.covariance + np.diag([0.0, DOUBT_DRAWN**2]),
        of_unknown.deviation,
    )
