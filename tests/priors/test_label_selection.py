"""How labels became known, told from the labels and from scores; every scheme of hiding is recognised."""

import numpy as np
import pytest

from made import made
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.data.tables.hiding import hide_labels
from partlabel.data.tables.provenance import Origins
from partlabel.priors.label_selection import describe, implied_tags


@pytest.fixture(scope="module")
def truth():
    return made(images=3000, classes=12, offset=-1.5)[2]


@pytest.mark.parametrize(
    ("scheme", "options", "kind", "words"),
    [
        ("positives_only", {}, "positives only", "all of them are present: no absent label is known"),
        ("single_positive", {}, "single positive", "at most one present label per image, and no absent one"),
        ("whole_images", {"known": 0.2}, "whole images", "for nearly every image all labels or none"),
        ("by_source", {"known": 0.3}, "by source", "the same sets of classes repeat"),
        ("uniform", {"known": 0.3}, "mixed", "of all labels are known, of which"),
        ("uniform", {"known": 1.0}, "everything", "All labels are known."),
        ("uniform", {"known": 0.0}, "nothing", "No label is known."),
        ("editor", {"known_present": 0.9, "known_absent": 0.02}, "mostly positives", "mostly positives"),
    ],
)
def test_the_schemes_of_hiding_are_told_from_labels_alone(truth, scheme, options, kind, words):
    found = describe(hide_labels(truth, scheme, **options))
    assert found.kind == kind and words in found.sentence


def test_scores_tell_a_fair_sample_from_an_editors_labels():
    scores, labels, _ = made()
    editors = describe(labels, scores=scores)
    assert editors.kind == "mostly positives" and editors.rate_present == pytest.approx(0.45, abs=0.06)
    assert "an estimated 4" in editors.sentence and "of all absent ones are known" in editors.sentence
    scores, labels, truth = made(present=0.2, absent=0.2)
    fair = describe(labels, scores=scores)
    assert fair.kind == "fair sample" and "look like a fair sample" in fair.sentence
    assert fair.estimated == pytest.approx((truth == PRESENT).sum(1).mean(), rel=0.1)


def test_implied_tags_are_the_sum_of_the_shares_of_known_labels():
    labels = np.array([[1, 0, -1], [1, -1, -1], [0, 0, -1]], np.int8)
    assert implied_tags(labels) == pytest.approx(2 / 3 + 0 + 2 / 5)  # of the third class nothing is known


def test_an_implausible_number_of_tags_is_warned_of():
    random = np.random.default_rng(0)
    truth = (random.random((1000, 25)) < 0.06).astype(np.int8)
    labels = hide_labels(truth, "editor", known_present=0.8, known_absent=0.08)
    found = describe(labels)
    share = (labels == PRESENT).sum() / (labels != UNKNOWN).sum()
    assert share > 0.3 and found.positive == share
    assert (
        f"{share:.0%} of the known labels are present: if they were a fair sample, an image would show"
        in found.warning
    )
    assert "of 25 classes on average" in found.warning and "--prevalence NUMBER" in found.warning
    assert not describe(hide_labels(truth, "uniform", known=0.1)).warning
    assert not describe(truth).warning


def test_labels_that_a_model_chose_are_counted():
    labels = np.array([[1, 0], [1, 0]], np.int8)
    origins = Origins(np.array([[1, 2], [3, 0]], np.uint8), ("", "human", "bce@a", "review:ann"))
    found = describe(labels, origins)
    assert found.by_model == 0.5
    assert "50% of the known labels were chosen by a model or its review." in found.sentence


def test_labels_that_a_review_drew_at_random_were_not_chosen_by_the_model():
    labels = np.array([[1, 0], [1, 0]], np.int8)
    origins = Origins(np.array([[1, 1], [2, 2]], np.uint8), ("", "review:ann", "review-at-random:ann"))
    assert describe(labels, origins).by_model == 0.5


def test_a_table_without_classes_is_described():
    assert describe(np.zeros((3, 0), np.int8)).kind == "nothing"
