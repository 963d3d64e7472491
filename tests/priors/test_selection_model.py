"""How labels became known, found again where it was chosen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import check_grad

from made import made, sigmoid
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.priors import selection_model
from partlabel.priors.selection_model import SPREAD, _Problem, fit, rates_given, shift


def log_likelihood(scores, labels, slope, offset, present, absent, asked):
    """Cell by cell, as the equations have it."""
    total = 0.0
    for i, c in np.ndindex(labels.shape):
        p = sigmoid(slope * scores[i, c] + offset)
        if asked[i, c]:
            total += np.log((1 - present) * p if labels[i, c] == PRESENT else (1 - absent) * (1 - p))
            continue
        chance = {
            PRESENT: present * p,
            ABSENT: absent * (1 - p),
            UNKNOWN: (1 - present) * p + (1 - absent) * (1 - p),
        }
        total += np.log(chance[int(labels[i, c])])
    return total


def some_asked(labels, truth, share):
    """Reveal a share of the unknown labels; return the labels, and which of them were asked."""
    asked = (labels == UNKNOWN) & (np.random.default_rng(5).random(labels.shape) < share)
    return np.where(asked, truth, labels).astype(np.int8), asked


def test_rates_slope_and_prevalence_of_an_editors_labels_are_found_again():
    scores, labels, truth = made(images=8000, slope=0.7, offset=0.5)
    found = fit(scores, labels)
    assert found.slope == pytest.approx(0.7, abs=0.06)
    np.testing.assert_allclose(found.rate_present, 0.45, atol=0.08)
    np.testing.assert_allclose(found.rate_absent, 0.09, atol=0.02)
    np.testing.assert_allclose(found.prevalence, (truth == PRESENT).mean(0), rtol=0.15)
    blank = labels == UNKNOWN
    share = [(truth[blank[:, c], c] == PRESENT).mean() for c in range(labels.shape[1])]
    np.testing.assert_allclose(found.unknown, share, rtol=0.2)


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_the_likelihood_is_that_of_the_equations(share):
    scores, labels, truth = made(images=9, classes=1, present=0.6, absent=0.3)
    labels, asked = some_asked(labels, truth, share)
    problem = _Problem(scores, labels, asked, SPREAD, fair=False, given=None)
    at = np.array([np.log(0.8), 0.3, 1.1, -0.4, 0.0, 0.0, 0.0])
    absent, present = sigmoid(-0.4), sigmoid(-0.4 + 1.1)
    priors = 0.05 / 2 * np.square(at[1:4]).sum() + 0.5 * at[0] ** 2
    expected = log_likelihood(scores.astype(float), labels, 0.8, 0.3, present, absent, asked)
    assert asked.any() == bool(share)
    assert problem(at)[0] == pytest.approx(priors - expected)


@pytest.mark.parametrize(
    "options",
    [{}, {"fair": True}, {"given": np.array([0.3, 0.4, 0.5])}, {"positive": True}, {"nothing": True}],
)
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_gradient_is_that_of_the_value(options, share):
    options = dict(options)
    scores, labels, truth = made(images=40, classes=3, present=0.5, absent=0.2)
    if options.pop("positive", False):
        labels = np.where(labels == ABSENT, UNKNOWN, labels)
    if options.pop("nothing", False):
        labels = np.full_like(labels, UNKNOWN)
    labels, asked = some_asked(labels, truth, share)
    problem = _Problem(scores, labels, asked, SPREAD, **{"fair": False, "given": None} | options)
    at = np.random.default_rng(0).normal(0, 0.5, 4 + 3 * 3)
    assert check_grad(lambda x: problem(x)[0], lambda x: problem(x)[1], at) < 1e-3


def by_score(scores, labels, truth, share=0.1):
    """Reveal unknown labels, those with high scores far more often; return also which they are."""
    chance = share * sigmoid(2.0 * scores.astype(float)) / sigmoid(2.0 * scores.astype(float)).mean()
    asked = (labels == UNKNOWN) & (np.random.default_rng(3).random(labels.shape) < chance)
    return np.where(asked, truth, labels).astype(np.int8), asked


@pytest.mark.parametrize(("present", "absent"), [(0.0, 0.0), (0.1, 0.1), (0.45, 0.09), (0.4, 0.0)])
def test_labels_that_a_review_asked_about_do_not_change_the_prevalence(present, absent):
    """Selected by the score alone, they are right given the score, however many of them are present."""
    scores, labels, truth = made(images=4000, present=present, absent=absent, slope=0.7, offset=0.5)
    labels, asked = by_score(scores, labels, truth)
    found, naive = fit(scores, labels, asked=asked), fit(scores, labels)
    share = (truth == PRESENT).mean(0)
    np.testing.assert_allclose(found.prevalence, share, rtol=0.15)
    assert abs(naive.prevalence.sum() / share.sum() - 1) > 0.2, "without that knowledge, it is wrong"
    blank = labels == UNKNOWN
    unknown = [(truth[blank[:, c], c] == PRESENT).mean() for c in range(labels.shape[1])]
    np.testing.assert_allclose(found.unknown.sum(), np.sum(unknown), rtol=0.15)
    np.testing.assert_allclose(found.rate_present, present, atol=0.08)
    np.testing.assert_allclose(found.rate_absent, absent, atol=0.03)


def test_where_all_known_labels_were_asked_it_is_logistic_regression():
    scores, labels, truth = made(images=3000, classes=1, present=0.0, absent=0.0)
    labels, asked = by_score(scores, labels, truth, 0.3)
    found = fit(scores, labels, asked=asked)
    from sklearn.linear_model import LogisticRegression

    x, y = scores[asked][:, None], truth[asked] == PRESENT
    plain = LogisticRegression(C=1e6, tol=1e-8).fit(x, y)
    assert found.slope == pytest.approx(plain.coef_[0, 0], rel=0.05)
    assert found.offset[0] == pytest.approx(plain.intercept_[0], abs=0.1)
    assert not found.rate_present.any() and not found.rate_absent.any()


@settings(max_examples=8, deadline=None)
@given(st.floats(0.1, 0.6), st.integers(0, 1000))
def test_a_fair_sample_has_equal_rates_that_are_hardly_less_likely(known, seed):
    scores, labels, _ = made(images=1200, classes=4, present=known, absent=known, seed=seed)
    free, fair = fit(scores, labels), fit(scores, labels, fair=True)
    np.testing.assert_array_equal(fair.rate_present, fair.rate_absent)
    assert -0.1 < free.log_likelihood - fair.log_likelihood < 10


def test_an_editors_labels_are_far_less_likely_as_a_fair_sample():
    scores, labels, _ = made()
    assert fit(scores, labels).log_likelihood > fit(scores, labels, fair=True).log_likelihood + 100


def test_given_rates_are_kept():
    scores, labels, truth = made(absent=0.0, present=0.5)
    found = fit(scores, labels, rate_present=np.full(6, 0.5))
    np.testing.assert_array_equal(found.rate_present, 0.5)
    np.testing.assert_allclose(found.prevalence, (truth == PRESENT).mean(0), rtol=0.15)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 0.95), st.floats(0.0, 0.95), st.floats(0.01, 0.99))
def test_the_shift_is_bayes_rule(present, absent, p):
    unknown = (1 - present) * p / ((1 - present) * p + (1 - absent) * (1 - p))
    odds = np.log(p / (1 - p)) + shift(np.array([present]), np.array([absent]))[0]
    assert sigmoid(odds) == pytest.approx(unknown)


def test_rates_follow_from_probabilities_that_are_right():
    scores, labels, truth = made(images=8000)
    present, absent = rates_given(sigmoid(scores.astype(float)), labels)
    for c in range(labels.shape[1]):
        assert present[c] == pytest.approx(
            (labels[:, c] == PRESENT).sum() / (truth[:, c] == PRESENT).sum(), rel=0.1
        )
        assert absent[c] == pytest.approx(
            (labels[:, c] == ABSENT).sum() / (truth[:, c] == ABSENT).sum(), rel=0.05
        )


def test_a_table_where_nothing_is_known_has_rates_of_zero():
    present, absent = rates_given(np.full((5, 2), 0.3), np.full((5, 2), UNKNOWN, np.int8))
    assert not present.any() and not absent.any()


def test_large_tables_are_estimated_from_some_of_their_images(monkeypatch):
    scores, labels, _ = made(images=6000)
    whole = fit(scores, labels)
    monkeypatch.setattr(selection_model, "MOST_CELLS", 6 * 3000)
    part = fit(scores, labels)
    np.testing.assert_allclose(part.prevalence, whole.prevalence, rtol=0.2)
    assert part.log_likelihood > whole.log_likelihood, "fewer cells are likelier"


def test_what_cannot_be_estimated_is_refused():
    scores, labels, _ = made(images=30)
    with pytest.raises(ValueError, match="needs known present labels"):
        fit(scores, np.where(labels == PRESENT, UNKNOWN, labels))
    with pytest.raises(ValueError, match="for a fair sample known absent ones"):
        fit(scores, np.where(labels == ABSENT, UNKNOWN, labels), fair=True)
