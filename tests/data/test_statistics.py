"""Statistics of known labels, against loops that say what they mean."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from partlabel import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables import hiding, statistics

labels_ = arrays(np.int8, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.integers(-1, 1))


def naive_cooccurrence(labels, unknown):
    classes = labels.shape[1]
    graph = np.zeros((classes, classes))
    for i in range(classes):
        for j in range(classes):
            asked = [
                row for row in labels if row[i] == PRESENT and (unknown == "absent" or row[j] != UNKNOWN)
            ]
            if i == j:
                graph[i, j] = 1
            elif asked:
                graph[i, j] = sum(row[j] == PRESENT for row in asked) / len(asked)
    return graph


@given(labels_, st.sampled_from(["left_out", "absent"]))
def test_cooccurrence_is_the_double_loop(labels, unknown):
    np.testing.assert_allclose(
        statistics.cooccurrence(labels, unknown), naive_cooccurrence(labels, unknown), rtol=1e-6
    )


def test_prevalence_is_the_share_of_known_labels_that_are_present():
    labels = np.array([[1, 1, -1], [0, 1, -1], [0, -1, -1], [-1, -1, -1]], np.int8)
    np.testing.assert_allclose(statistics.prevalence(labels), [1 / 3, 1, 0])


def test_of_present_labels_alone_prevalence_is_the_share_of_images():
    """Not 1, where biases would start that no training of assumed absences brings down again."""
    labels = np.array([[1, 1, -1], [-1, 1, -1], [-1, -1, -1], [-1, -1, -1]], np.int8)
    np.testing.assert_allclose(statistics.prevalence(labels), [1 / 4, 1 / 2, 0])


def test_a_few_absent_labels_among_present_ones_change_little():
    labels = np.full((100, 4), -1, np.int8)
    labels[:40, 0] = labels[20:30, 1] = labels[50:55, 2] = labels[:2, 3] = 1
    least = [0.4, 0.1, 0.05, 0.02]
    np.testing.assert_allclose(statistics.prevalence(labels), least)
    labels[99, 0] = 0
    np.testing.assert_allclose(statistics.prevalence(labels), least)
    assert statistics.cooccurrence(labels)[0, 1] == np.float32(10 / 40), (
        "of 10 images with 0 that know 1, 10 show it"
    )
    labels[60:90, 1] = 0  # now 57 of 88 are present, and known labels speak for images
    np.testing.assert_allclose(statistics.prevalence(labels), [40 / 41, 0.25, 1, 1])
    assert statistics.cooccurrence(labels)[0, 1] == 1


def test_a_class_never_present_is_on_its_own():
    graph = statistics.cooccurrence(np.array([[1, 0, -1], [1, 0, 1]], np.int8))
    assert graph.tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    assert graph.dtype == np.float32


def test_by_hand():
    labels = np.array([[1, 1], [1, 0], [1, -1], [0, 1]], np.int8)
    np.testing.assert_allclose(statistics.cooccurrence(labels), [[1, 1 / 2], [1 / 2, 1]])
    np.testing.assert_allclose(statistics.cooccurrence(labels, "absent"), [[1, 1 / 3], [1 / 2, 1]], rtol=1e-6)


def test_leaving_unknown_out_keeps_the_strength_of_the_graph():
    """Counting unknown as absent makes a graph from a tenth of the labels ten times too weak."""
    random = np.random.default_rng(0)
    scene = random.integers(0, 2, (20_000, 1))
    truth = (random.random((20_000, 6)) < np.where(scene, 0.6, 0.1)).astype(np.int8)
    hidden, off = hiding.uniform(truth, 0.1), ~np.eye(6, dtype=bool)
    whole = statistics.cooccurrence(truth)[off].mean()
    assert statistics.cooccurrence(hidden)[off].mean() == pytest.approx(whole, rel=0.1)
    assert statistics.cooccurrence(hidden, "absent")[off].mean() == pytest.approx(whole / 10, rel=0.2)


def test_blocks_change_nothing(monkeypatch):
    labels = np.random.default_rng(0).integers(-1, 2, (50, 5)).astype(np.int8)
    done = (
        statistics.cooccurrence,
        statistics.counts,
        lambda labels: statistics.split_stratified(labels, 0.3),
    )
    whole = [do(labels) for do in done]
    monkeypatch.setattr(statistics, "_BLOCK", 11)
    for do, expected in zip(done, whole, strict=True):
        np.testing.assert_array_equal(do(labels), expected)


@given(labels_)
def test_counts_are_counts(labels):
    present, absent, unknown = statistics.counts(labels)
    for column in range(labels.shape[1]):
        cells = labels[:, column].tolist()
        assert (cells.count(1), cells.count(0), cells.count(-1)) == (
            present[column],
            absent[column],
            unknown[column],
        )


@settings(deadline=None)
@given(labels_, st.floats(0.01, 0.99), st.integers(0, 99))
def test_a_split_has_two_sides_and_is_the_same_again(labels, share, seed):
    if len(labels) < 2:
        return
    before = labels.copy()
    aside = statistics.split_stratified(labels, share, seed)
    assert aside.shape == (len(labels),)
    assert 0 < aside.sum() < len(labels)
    np.testing.assert_array_equal(statistics.split_stratified(labels, share, seed), aside)
    np.testing.assert_array_equal(labels, before)


@settings(deadline=None)
@given(labels_, st.integers(0, 99))
def test_no_class_is_lost_in_training_by_the_repair(labels, seed):
    present = labels == PRESENT
    if len(labels) < 2:
        return
    aside = statistics._draw(labels, 0.3, seed)
    statistics._leave_none_empty(aside, np.random.RandomState(seed))
    before = present[~aside].any(axis=0)
    statistics._keep_classes(aside, present)
    assert not (before & ~present[~aside].any(axis=0)).any()


def test_rare_classes_are_on_both_sides():
    """Class c is in c + 2 images of 400, one class an image: each can be on both sides, and is."""
    labels = np.zeros((400, 20), np.int8)
    row = 0
    for column in range(20):
        labels[row : row + column + 2, column] = PRESENT
        row += column + 2
    labels = labels[np.random.default_rng(0).permutation(400)]
    for seed in range(5):
        aside = statistics.split_stratified(labels, 0.1, seed)
        assert (labels[aside] == PRESENT).any(axis=0).all()
        assert (labels[~aside] == PRESENT).any(axis=0).all()
        assert 0.1 <= aside.mean() <= 0.15


def test_a_class_with_one_image_is_in_training():
    labels = np.eye(30, dtype=np.int8)
    aside = statistics.split_stratified(labels, 0.2)
    # 30 classes with one image each: a validation image takes one from training, so only one is set aside.
    assert aside.sum() == 1


def test_each_class_keeps_its_share_of_present_and_absent():
    truth = (np.random.default_rng(0).random((3000, 8)) < np.linspace(0.01, 0.6, 8)).astype(np.int8)
    labels = hiding.uniform(truth, 0.3)
    aside = statistics.split_stratified(labels, 0.2)
    for code in (PRESENT, ABSENT):
        share = (labels[aside] == code).sum(axis=0) / (labels == code).sum(axis=0)
        np.testing.assert_allclose(share, 0.2, atol=0.05)


def test_nothing_known_is_split_evenly():
    assert statistics.split_stratified(np.full((100, 3), UNKNOWN, np.int8), 0.2).sum() == 20
    assert statistics.split_stratified(np.empty((100, 0), np.int8), 0.2).sum() == 20


def test_large_tables_are_split_in_seconds():
    truth = (np.random.default_rng(0).random((60_000, 80)) < np.geomspace(0.0005, 0.5, 80)).astype(np.int8)
    labels = hiding.uniform(truth, 0.5)
    start = time.process_time()
    aside = statistics.split_stratified(labels, 0.1)
    assert time.process_time() - start < 10
    assert aside.mean() == pytest.approx(0.1, abs=0.005)
    share = (labels[aside] == PRESENT).sum(axis=0) / (labels == PRESENT).sum(axis=0)
    np.testing.assert_allclose(share, 0.1, atol=0.05)


@pytest.mark.parametrize(
    ("share", "rows", "said"), [(0.0, 5, "between 0 and 1, not 0"), (0.5, 1, "cannot be split")]
)
def test_what_cannot_be_split_is_said(share, rows, said):
    with pytest.raises(ValueError, match=said):
        statistics.split_stratified(np.zeros((rows, 2), np.int8), share)
