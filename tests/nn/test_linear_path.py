"""The full-batch solver against scikit-learn, class by class."""

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from partlabel.core.targets import Targets
from partlabel.nn.linear_path import EPSILON, Design, solve


def problem(images=120, features=20, classes=3, seed=0, known=0.6):
    """Features of unequal spread, and labels that depend on them."""
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(images, features, generator=random) * torch.logspace(0, -1.5, features) + 1
    logits = 3 * x @ torch.randn(features, classes, generator=random)
    noise = torch.randn(images, classes, generator=random)
    value = (logits - logits.mean(0) + noise > 0).float()
    weight = (torch.rand(images, classes, generator=random) < known).float()
    return x, Targets(value, weight)


def by_scikit_learn(x, targets, penalty):
    """Logits of all images, each class fitted alone to the images it counts for."""
    standard = ((x - x.mean(0)) / (x.var(0, unbiased=False) + EPSILON).sqrt()).double().numpy()
    columns = []
    for value, weight in zip(targets.value.T.numpy(), targets.weight.T.numpy(), strict=True):
        fit = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000)
        # A soft target is its share of a present and of an absent label.
        twice, kinds = np.concatenate([standard, standard]), np.repeat([1, 0], len(standard))
        counts = np.concatenate([weight * value, weight * (1 - value)])
        fit.fit(twice[counts > 0], kinds[counts > 0], counts[counts > 0])
        columns.append(fit.decision_function(standard))
    return np.stack(columns, 1)


@pytest.mark.parametrize("penalty", [300.0, 10.0, 0.5])
@pytest.mark.parametrize("features", [20, 200])  # fewer than images, and more
def test_each_class_is_fitted_as_by_scikit_learn(penalty, features):
    x, targets = problem(features=features)
    design = Design.of(x)
    fitted = solve(design, targets, penalty, tolerance=1e-9, most=300)
    np.testing.assert_allclose(
        design.logits(fitted), by_scikit_learn(x, targets, penalty), atol=5e-3, rtol=5e-3
    )


def test_soft_targets_and_weights_count_as_by_scikit_learn():
    x, targets = problem()
    soft = Targets(0.1 + 0.8 * targets.value, 0.05 + 0.5 * targets.weight)
    design = Design.of(x)
    fitted = solve(design, soft, 3.0, tolerance=1e-9, most=300)
    np.testing.assert_allclose(design.logits(fitted), by_scikit_learn(x, soft, 3.0), atol=5e-3)


def test_a_warm_start_ends_where_a_cold_start_does():
    x, targets = problem()
    design = Design.of(x)
    warm = None
    for penalty in (100.0, 10.0, 1.0):
        warm = solve(design, targets, penalty, warm, tolerance=1e-9, most=300)
        cold = solve(design, targets, penalty, tolerance=1e-9, most=300)
        torch.testing.assert_close(design.logits(warm), design.logits(cold), atol=5e-3, rtol=0)


def test_weights_on_standardised_features_give_the_same_logits():
    x, targets = problem()
    design = Design.of(x)
    fitted = solve(design, targets, 1.0)
    weight, bias = design.weights(fitted)
    standard = (x - design.mean) * torch.rsqrt(design.variance + EPSILON)
    torch.testing.assert_close(standard @ weight.T + bias, design.logits(fitted), atol=1e-4, rtol=1e-4)


def test_columns_do_not_touch_each_other(monkeypatch):
    x, targets = problem(classes=4)
    design = Design.of(x)
    together = solve(design, targets, torch.tensor([0.5, 5.0, 50.0, 500.0]), tolerance=1e-9, most=300)
    monkeypatch.setattr("partlabel.nn.linear_path.CELLS", len(x))  # one column in a block
    alone = solve(design, targets, torch.tensor([0.5, 5.0, 50.0, 500.0]), tolerance=1e-9, most=300)
    torch.testing.assert_close(design.logits(together), design.logits(alone), atol=5e-3, rtol=0)


def test_a_class_of_one_kind_gets_an_intercept_and_no_weights():
    x, _ = problem()
    value = torch.stack([torch.ones(120), torch.zeros(120), torch.ones(120)], 1)
    weight = torch.ones(120, 3)
    weight[:, 2] = 0  # nothing is known of the third
    fitted = solve(Design.of(x), Targets(value, weight), 1.0)
    assert fitted[:-1].abs().max() == 0
    expected = torch.tensor([120.5 / 121, 0.5 / 121, 0.5]).logit()
    torch.testing.assert_close(fitted[-1], expected, atol=1e-4, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), images=st.integers(5, 40), penalty=st.floats(0.01, 1000))
def test_no_step_away_from_the_solution_lowers_the_objective(seed, images, penalty):
    x, targets = problem(images, 8, 2, seed)
    assume(((targets.weight * targets.value).sum(0) > 0).all())  # a class of one kind has no optimum
    assume(((targets.weight * (1 - targets.value)).sum(0) > 0).all())
    design = Design.of(x)
    fitted = solve(design, targets, penalty, tolerance=1e-9, most=300)

    def objective(fitted):
        misfit = torch.nn.functional.binary_cross_entropy_with_logits(
            design.logits(fitted).double(), targets.value.double(), targets.weight.double(), reduction="sum"
        )
        return float(misfit + penalty / 2 * fitted[:-1].double().square().sum())

    least = objective(fitted)
    random = torch.Generator().manual_seed(seed)
    for scale in (1e-2, 0.3):
        step = scale * torch.randn(fitted.shape, generator=random)
        assert objective(fitted + step) > least - 1e-4


def test_constant_features_do_no_harm():
    x, targets = problem()
    wide = torch.cat([x, torch.ones(120, 3)], 1)
    plain, padded = Design.of(x), Design.of(wide)
    a = plain.logits(solve(plain, targets, 2.0, tolerance=1e-9, most=300))
    b = padded.logits(solve(padded, targets, 2.0, tolerance=1e-9, most=300))
    torch.testing.assert_close(a, b, atol=5e-3, rtol=0)
