r"""Recalibration of log-odds by few labels of randomly drawn cells: a slope, a common shift, a shrunk shift by class.

With initial log-odds l_ic, and their mean m over all cells,

    log-odds = m + slope * (l_ic - m) + common + shift_c
    slope ~ N(1, SLOPE^2),  common ~ N(0, COMMON^2),  shift_c ~ N(0, CLASS^2)

at the maximum of the posterior (Platt scaling with normal priors). The problem is convex, and Newton's method solves it
in a few steps; the Hessian is an arrow (two dense rows, the rest diagonal), so that a step costs two passes over the
cells for any number of classes. The inverse Hessian is the uncertainty (Laplace approximation).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from partlabel.priors.scale import Scale, sigmoid

SLOPE, COMMON, CLASS = 0.1, 3.0, 0.4
"""Standard deviations of the priors, in log-odds (the slope has no unit). The initial slope comes from thousands of
cells; a calibration set of 40 images must change it little, or fill reaches less than the requested precision."""


class Recalibration(NamedTuple):
    """Map of initial log-odds z to recalibrated ones, `centre + slope (z - centre) + shift`.

    Attributes:
        centre: The mean m, at which the slope has no effect.
        slope: Slope, above 0.
        shift: Shift of each class, the common one included.
        covariance: Covariance of (slope, common shift).
        deviation: Standard deviation of each class's own shift, given the other two.
    """

    centre: float
    slope: float
    shift: Float[np.ndarray, " class"]
    covariance: Float[np.ndarray, "2 2"]
    deviation: Float[np.ndarray, " class"]

    def after(self, scale: Scale) -> Scale:
        """Compose an affine map of logits to log-odds and this recalibration of them."""
        offset = self.centre + self.slope * (scale.offset - self.centre) + self.shift
        return Scale(self.slope * scale.slope, offset)


def fit(
    log_odds: Float[np.ndarray, "image class"],
    present: Bool[np.ndarray, "image class"],
    drawn: Bool[np.ndarray, "image class"],
    weight: Float[np.ndarray, "image class"] | None = None,
    steps: int = 50,
) -> Recalibration:
    """Fit slope and shifts to cells with known ground truth.

    Args:
        log_odds: Initial log-odds.
        present: Whether each cell is present.
        drawn: Whether the ground truth of each cell is known; drawn independently of it.
        weight: Weight of each cell, such as the inverse of the probability that it was drawn; 1 by default.
        steps: Maximum number of Newton steps.

    Raises:
        ValueError: No cell has a known ground truth.
    """
    if not drawn.any():
        raise ValueError("recalibration needs at least one known label")
    rows, columns = np.nonzero(drawn)
    centre = float(log_odds[drawn].mean())
    x, y = log_odds[rows, columns].astype(np.float64) - centre, present[rows, columns].astype(np.float64)
    of = np.ones(len(rows)) if weight is None else weight[rows, columns].astype(np.float64)
    classes = log_odds.shape[1]
    dense, own = np.array([1.0, 0.0]), np.zeros(classes)
    prior, centre_of = np.array([SLOPE**-2, COMMON**-2]), np.array([1.0, 0.0])

    def summed(values: np.ndarray) -> np.ndarray:
        return np.bincount(columns, values, classes)

    def cost(dense: np.ndarray, own: np.ndarray) -> float:
        eta = centre + dense[0] * x + dense[1] + own[columns]
        penalty = (prior * np.square(dense - centre_of)).sum() + np.square(own).sum() / CLASS**2
        return float((of * np.logaddexp(0, np.where(y > 0, -eta, eta))).sum() + penalty / 2)

    for _ in range(steps):
        p = sigmoid(centre + dense[0] * x + dense[1] + own[columns])
        g, w = of * (p - y), of * p * (1 - p)
        of_dense = np.array([g @ x, g.sum()]) + prior * (dense - centre_of)
        of_own = summed(g) + own / CLASS**2
        corner = np.array([[w @ (x * x), w @ x], [w @ x, w.sum()]]) + np.diag(prior)
        arms, diagonal = np.stack([summed(w * x), summed(w)]), summed(w) + CLASS**-2
        schur = corner - (arms / diagonal) @ arms.T
        step = np.linalg.solve(schur, of_dense - arms @ (of_own / diagonal))
        own_step = (of_own - arms.T @ step) / diagonal
        size, now = 1.0, cost(dense, own)
        while size > 1e-4 and cost(dense - size * step, own - size * own_step) > now:
            size /= 2
        dense, own = dense - size * step, own - size * own_step
        if max(np.abs(step).max(), np.abs(own_step).max(initial=0)) < 1e-8:
            break
    slope = max(float(dense[0]), 0.1)  # never reverses the ranking
    return Recalibration(centre, slope, dense[1] + own, np.linalg.inv(schur), diagonal**-0.5)
