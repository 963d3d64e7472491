"""Corrected probabilities are right on average, on unknown labels and on new images, by each of the sources."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made import made, sigmoid
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.priors.correcting import correct
from partlabel.priors.correction import CalibrationSet, Correction
from partlabel.priors.from_prevalence import shift_to


def calibration_set(scores, labels, truth, images=40, seed=1):
    """A calibration set: some images drawn at random, labelled completely."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(scores))[:images])
    return CalibrationSet(scores[rows], scores[rows], truth[rows], labels[rows] == UNKNOWN)


def ratios(correction, scores, labels, truth, seed=9):
    """Mean probability over true share: of unknown labels, and of new images."""
    blank = labels == UNKNOWN
    unknown = sigmoid(correction.scale_filling.logits(scores).astype(float))[blank].mean()
    new, _, of_new = made(seed=seed)
    random = sigmoid(correction.scale.logits(new).astype(float)).mean()
    return unknown / (truth[blank] == PRESENT).mean(), random / (of_new == PRESENT).mean()


def test_an_estimate_is_right_on_average_where_an_editor_chose():
    scores, labels, truth = made()
    found = correct(scores, scores, labels)
    assert found.source == "estimate"
    assert found.rate_present == pytest.approx(0.45, abs=0.06)
    assert found.rate_absent == pytest.approx(0.09, abs=0.02)
    np.testing.assert_allclose(ratios(found, scores, labels, truth), 1, rtol=0.15)
    known = (
        f"{found.rate_present:.0%} of the present and {found.rate_absent:.0%} of the absent labels are known"
    )
    assert known in found.sentence


def test_a_fair_sample_is_taken_for_one():
    scores, labels, truth = made(present=0.3, absent=0.3)
    found = correct(scores, scores, labels)
    assert found.source == "fair sample" and "fair sample (no contrary evidence)" in found.sentence
    np.testing.assert_allclose(ratios(found, scores, labels, truth), 1, rtol=0.1)


@pytest.mark.parametrize(("present", "absent"), [(0.45, 0.09), (0.3, 0.0), (0.1, 0.1)])
def test_forty_images_are_enough_for_probabilities_that_are_right_on_average(present, absent):
    scores, labels, truth = made(present=present, absent=absent, classes=20)
    found = correct(scores, scores, labels, calibration_set(scores, labels, truth))
    assert found.source == "calibration set" and found.images == 40
    blank = labels == UNKNOWN
    unknown = sigmoid(found.scale_filling.logits(scores).astype(float))[blank].mean()
    random = sigmoid(found.scale.logits(scores).astype(float)).mean()
    assert unknown == pytest.approx((truth[blank] == PRESENT).mean(), rel=0.2)
    assert random == pytest.approx((truth == PRESENT).mean(), rel=0.2)


def test_a_calibration_set_that_the_table_knows_already_does_as_well():
    scores, labels, truth = made(classes=20)
    rows = np.arange(60)
    labels[rows] = truth[rows]
    given = CalibrationSet(scores[rows], scores[rows], truth[rows], np.zeros((60, 20), bool))
    found = correct(scores, scores, labels, given)
    blank = labels == UNKNOWN
    unknown = sigmoid(found.scale_filling.logits(scores).astype(float))[blank].mean()
    assert unknown == pytest.approx((truth[blank] == PRESENT).mean(), rel=0.25)


@pytest.mark.parametrize("absent", [0.09, 0.0])
def test_a_given_number_of_classes_per_image_is_met(absent):
    scores, labels, truth = made(absent=absent)
    tags = (truth == PRESENT).sum(1).mean()
    found = correct(scores, scores, labels, None, float(tags))
    assert found.source == "prevalence" and found.tags == pytest.approx(tags, rel=1e-4)
    assert sigmoid(found.scale.logits(scores).astype(float)).sum(1).mean() == pytest.approx(tags, rel=1e-3)
    np.testing.assert_allclose(ratios(found, scores, labels, truth), 1, rtol=0.1)


@pytest.mark.parametrize("absent", [0.09, 0.0])
@pytest.mark.parametrize("by_class", [True, False])
def test_known_and_expected_present_labels_are_as_many_as_given(absent, by_class):
    scores, labels, truth = made(absent=absent)
    share = (truth == PRESENT).mean(0)
    found = correct(scores, scores, labels, None, share if by_class else float(share.sum()))
    blank = labels == UNKNOWN
    expected = np.where(blank, sigmoid(found.scale_filling.logits(scores).astype(float)), 0).sum(0)
    total = (labels == PRESENT).sum(0) + expected
    np.testing.assert_allclose(found.unknown * blank.sum(0), expected, rtol=1e-3)
    if by_class:
        np.testing.assert_allclose(total, share * len(scores), rtol=1e-3)
    else:
        assert total.sum() == pytest.approx(share.sum() * len(scores), rel=1e-3)


def test_a_prevalence_below_what_is_known_is_refused():
    scores, labels, _ = made()
    told = (labels == PRESENT).sum() / len(labels)
    with pytest.raises(
        ValueError, match=rf"--prevalence 0.1: .* alone have {told:.3g} present classes per image"
    ):
        correct(scores, scores, labels, None, 0.1)


def test_a_share_below_what_is_known_is_warned_of():
    scores, labels, truth = made()
    share = (truth == PRESENT).mean(0)
    share[1] = 0.01
    with pytest.warns(
        UserWarning, match="--prevalence: 1 of 6 classes are known to be present in more images"
    ):
        found = correct(scores, scores, labels, None, share)
    assert found.unknown[1] == 0


def test_a_class_that_is_left_out_is_shifted_as_the_others_are():
    scores, labels, truth = made()
    share = (truth == PRESENT).mean(0)
    whole = correct(scores, scores, labels, None, share)
    part = correct(scores, scores, labels, None, np.where(np.arange(6) == 2, np.nan, share))
    np.testing.assert_allclose(part.prevalence[[0, 1, 3, 4, 5]], whole.prevalence[[0, 1, 3, 4, 5]])
    assert part.prevalence[2] == pytest.approx(share[2], rel=0.2)


def test_a_calibration_set_comes_before_a_given_prevalence():
    scores, labels, truth = made()
    given = calibration_set(scores, labels, truth)
    found = correct(scores, scores, labels, given, 0.5)
    np.testing.assert_array_equal(found.scale.offset, correct(scores, scores, labels, given).scale.offset)


def test_votes_have_a_scale_of_their_own():
    scores, labels, _ = made()
    found = correct(scores, 2 * scores + 1, labels)
    assert found.scale_filling.slope == pytest.approx(found.scale.slope / 2, rel=0.05)


def test_a_calibration_set_is_surer_than_an_estimate_of_present_labels_alone():
    scores, labels, truth = made(absent=0.0, classes=20)
    estimate = correct(scores, scores, labels)
    given = correct(scores, scores, labels, calibration_set(scores, labels, truth))
    assert given.covariance[1, 1] < estimate.covariance[1, 1]


def test_a_correction_is_read_as_it_was_written():
    scores, labels, _ = made(images=300)
    found = correct(scores, scores, labels)
    again = Correction.from_json(json.loads(json.dumps(found.to_json())))
    assert again.sentence == found.sentence
    for name in ("prevalence", "unknown", "covariance", "deviation"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    np.testing.assert_array_equal(again.scale.logits(scores), found.scale.logits(scores))


@settings(max_examples=30, deadline=None)
@given(st.floats(0.001, 0.999), st.integers(0, 100))
def test_a_shift_meets_the_share(share, seed):
    odds = np.random.default_rng(seed).normal(-2, 3, (50, 2))
    assert sigmoid(odds + shift_to(odds, share)).mean() == pytest.approx(share, abs=1e-6)


def test_absent_labels_alone_tell_nothing():
    scores, labels, _ = made(images=50)
    with pytest.raises(ValueError, match="needs known present labels"):
        correct(scores, scores, np.where(labels == PRESENT, UNKNOWN, labels))
    assert (labels == ABSENT).any()
