"""Recalibration by few labels: at the maximum of the posterior, with the uncertainty of Laplace's approximation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from made import made, sigmoid
from partlabel.core.labels import PRESENT
from partlabel.priors.recalibration import CLASS, COMMON, SLOPE, fit


def naive(odds, present, drawn):
    """Minus the log posterior, cell by cell."""
    centre = odds[drawn].mean()

    def cost(at):
        total = (
            (at[0] - 1) ** 2 / SLOPE**2 / 2 + at[1] ** 2 / COMMON**2 / 2 + (at[2:] ** 2).sum() / CLASS**2 / 2
        )
        for i, c in np.argwhere(drawn):
            p = sigmoid(centre + at[0] * (odds[i, c] - centre) + at[1] + at[2 + c])
            total -= np.log(p if present[i, c] else 1 - p)
        return total

    return cost


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_it_is_the_maximum_of_the_posterior(seed):
    scores, _, truth = made(images=15, classes=2, slope=0.6, offset=1.0, seed=seed)
    odds, present = scores.astype(float), truth == PRESENT
    drawn = np.random.default_rng(seed).random(odds.shape) < 0.7
    cost = naive(odds, present, drawn)
    best = minimize(cost, np.array([1.0, 0, 0, 0])).x
    found = fit(odds, present, drawn)
    assert found.slope == pytest.approx(max(best[0], 0.1), abs=1e-3)
    if best[0] > 0.1:
        np.testing.assert_allclose(found.shift, best[1] + best[2:], atol=1e-3)


def test_a_weight_of_two_counts_a_label_twice():
    scores, _, truth = made(images=12, classes=2, slope=0.6, offset=1.0)
    odds, present, drawn = scores.astype(float), truth == PRESENT, np.ones((12, 2), bool)
    twice = [np.concatenate([each, each]) for each in (odds, present, drawn)]
    weighted = fit(odds, present, drawn, np.full(odds.shape, 2.0))
    for one, other in zip(weighted, fit(*twice), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


def test_the_covariance_is_the_inverse_of_the_hessian():
    scores, _, truth = made(images=20, classes=2)
    odds, present, drawn = scores.astype(float), truth == PRESENT, np.ones((20, 2), bool)
    found, cost = fit(odds, present, drawn), naive(odds, present, drawn)
    at = minimize(cost, np.array([1.0, 0, 0, 0]), tol=1e-10).x
    step, hessian = 1e-3, np.zeros((4, 4))
    for i, j in np.ndindex(4, 4):
        e = np.eye(4) * step
        corners = [cost(at + a * e[i] + b * e[j]) * a * b for a in (1, -1) for b in (1, -1)]
        hessian[i, j] = sum(corners) / (4 * step**2)
    np.testing.assert_allclose(found.covariance, np.linalg.inv(hessian)[:2, :2], rtol=1e-2, atol=1e-4)
    np.testing.assert_allclose(found.deviation, np.diag(hessian)[2:] ** -0.5, rtol=1e-3)


def test_a_common_shift_is_found_by_forty_images():
    scores, _, truth = made(images=40, classes=30, offset=-2.0)
    found = fit(scores.astype(float), truth == PRESENT, np.ones(scores.shape, bool))
    corrected = sigmoid(found.centre + found.slope * (scores - found.centre) + found.shift)
    assert corrected.mean() == pytest.approx((truth == PRESENT).mean(), rel=0.1)


def test_a_class_that_was_not_asked_about_has_the_common_shift():
    scores, _, truth = made(images=200, classes=4, offset=-2.0)
    drawn = np.ones(scores.shape, bool)
    drawn[:, 3] = False
    found = fit(scores.astype(float), truth == PRESENT, drawn)
    assert found.shift[3] == pytest.approx(found.shift[:3].mean(), abs=0.2)
    assert found.deviation[3] == pytest.approx(CLASS), "and its own is as uncertain as before"
    assert (found.shift < -1).all()


def test_without_labels_there_is_nothing_to_fit():
    with pytest.raises(ValueError, match="needs at least one known label"):
        fit(np.zeros((2, 2)), np.zeros((2, 2), bool), np.zeros((2, 2), bool))
