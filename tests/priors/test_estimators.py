"""Priors among unknown labels: three estimators on data whose prior was chosen."""

import numpy as np
import pytest

from made import made
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.priors.estimators import best_bin, bounded, elkan_noto, likelihood


def separable(prior=0.3, images=4000, known=0.5, seed=0):
    """Classes that hardly overlap, as two of the estimators assume; half of the present labels are known."""
    random = np.random.default_rng(seed)
    present = random.random((images, 2)) < prior
    scores = np.where(present, 5, -5) + random.normal(size=present.shape)
    told = present & (random.random(present.shape) < known)
    labels = np.where(told, PRESENT, UNKNOWN).astype(np.int8)
    share = [present[~told[:, c], c].mean() for c in range(2)]
    return scores.astype(np.float32), labels, share


@pytest.mark.parametrize("estimator", [likelihood, elkan_noto, best_bin])
def test_priors_of_classes_that_do_not_overlap_are_found(estimator):
    scores, labels, share = separable()
    found = estimator(scores, labels)
    tolerance = {"likelihood": 0.6}.get(estimator.__name__, 0.1)  # it lies between its bounds: see below
    np.testing.assert_allclose(found, share, rtol=tolerance)


@pytest.mark.parametrize("estimator", [elkan_noto, best_bin])
def test_estimators_that_assume_no_overlap_say_too_much_where_there_is(estimator):
    scores, labels, truth = made(absent=0.0)
    blank = labels == UNKNOWN
    true = (blank & (truth == PRESENT)).sum() / blank.sum()
    assert estimator(scores, labels).mean() > 1.5 * true


def test_the_likelihood_uses_known_absent_labels():
    scores, labels, truth = made(images=8000)
    blank = labels == UNKNOWN
    true = (blank & (truth == PRESENT)).sum(0) / blank.sum(0)
    np.testing.assert_allclose(likelihood(scores, labels), true, rtol=0.2)


@pytest.mark.parametrize("known", [0.25, 0.5, 1.0])
def test_of_present_labels_alone_the_estimate_lies_between_its_bounds(known):
    scores, labels, truth = made(absent=0.0, present=known)
    assert not (labels == ABSENT).any()
    found, true = bounded(scores, labels), (truth == PRESENT).mean()
    assert (labels == PRESENT).mean() <= found.prevalence.mean() + 0.01, "what is known is there"
    assert true / 2 < found.prevalence.mean() < 2 * true


def test_a_class_without_known_present_labels_has_no_prior_of_its_own():
    scores, labels, _ = made(absent=0.0)
    labels[:, 1] = UNKNOWN
    for estimator in (elkan_noto, best_bin):
        assert np.isnan(estimator(scores, labels)).tolist() == [False, True] + 4 * [False]
    assert np.isfinite(likelihood(scores, labels)).all()


def test_the_best_bin_can_be_checked_by_hand():
    """All ten known and five of ten unknown cells are above 0: a half."""
    labels = np.array([[PRESENT]] * 10 + [[UNKNOWN]] * 10, np.int8)
    scores = np.array([[1.0]] * 10 + [[2.0]] * 5 + [[-1.0]] * 5, np.float32)
    assert best_bin(scores, labels)[0] == pytest.approx(0.5)
