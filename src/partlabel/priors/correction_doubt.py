"""How uncertain corrected probabilities are."""

import numpy as np

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.priors import recalibration
from partlabel.priors.selection_model import SelectionModel

DOUBT_CALIBRATED, DOUBT_DRAWN, DOUBT_FAIR, DOUBT_ABSENT, DOUBT_PRIOR, DOUBT_SLOPE, DOUBT_CLASS = (
    0.2,
    0.1,
    0.1,
    0.25,
    0.2,
    0.15,
    0.4,
)
"""Standard deviations, in log-odds, that are added to those of the fits: of the common shift for a calibration set (the
labels of an image are not independent), drawn labels, a fair sample, an estimate with known absent labels and a given
prevalence; and without a calibration set or drawn labels, of the slope and of each class's own shift. They are of the
size of the errors in benchmarks/probabilities.py and, for drawn labels, benchmarks/asked_probabilities.py."""
NINETY = 1.645
"""Half-width of a 90 % interval of a normal distribution, in standard deviations."""


def doubt(
    scores: np.ndarray, labels: np.ndarray, model: SelectionModel, fair: bool
) -> tuple[np.ndarray, np.ndarray, float]:
    """Compute the uncertainty of slope, common shift and class shifts, and the centre of the slope."""
    classes = labels.shape[1]
    odds = model.slope * scores + model.offset
    known = labels != UNKNOWN
    covariance, deviation = np.diag([DOUBT_SLOPE**2, 0.0]), np.full(classes, DOUBT_CLASS)
    if not (labels == ABSENT).any():
        return covariance, deviation, float(odds.mean())
    found = recalibration.fit(odds, labels == PRESENT, known)
    if fair:
        return found.covariance, found.deviation, found.centre
    return covariance + found.covariance, np.hypot(deviation, found.deviation), found.centre


def log_bound(model: SelectionModel) -> float:
    """Compute the negative log of the share of present labels that are known, whose upper bound is 1 (`bounded`)."""
    share = float(np.average(model.rate_present, weights=model.prevalence + 1e-12))
    return -float(np.log(max(share, 1e-3)))
