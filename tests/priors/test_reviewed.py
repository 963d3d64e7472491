"""Probabilities after a review: asked labels are right given the score, and drawn labels represent the unknown ones."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from made import made, sigmoid
from partlabel import LabelTable, Tagger
from partlabel.cli.main import main
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables.provenance import Origins, is_asked, is_drawn, is_persons
from partlabel.posthoc.tuning_columns import tuned_alone
from partlabel.posthoc.tuning_fit import fit_tuning
from partlabel.posthoc.tuning_result import Tuning
from partlabel.priors.correcting import correct
from partlabel.priors.correction import CalibrationSet
from partlabel.priors.label_selection import describe
from partlabel.priors.reviewed import Reviewed
from partlabel.training.run_folder import Run

SOURCES = ("", "human", "review:ann", "review-at-random:ann")


def reviewed(images=4000, asked=0.08, drawn=0.05, seed=0, **options):
    """A review whose order sees more than the score: it asks about present labels more often at the same score.

    Returns:
        Scores, labels, ground truth, and which labels were asked and drawn.
    """
    scores, labels, truth = made(images=images, seed=seed, **options)
    random = np.random.default_rng(seed + 100)
    earlier = scores + 1.5 * (truth == PRESENT) + random.normal(0, 1, scores.shape)
    blank = labels == UNKNOWN
    by_order = blank & (earlier >= np.quantile(earlier[blank], 1 - asked))
    by_chance = blank & ~by_order & (random.random(scores.shape) < drawn)
    found = np.where(by_order | by_chance, truth, labels).astype(np.int8)
    return scores, found, truth, Reviewed(by_order | by_chance, by_chance)


def ratios(correction, scores, labels, truth):
    """Return mean probability over true share: of unknown labels, and of all labels."""
    blank = labels == UNKNOWN
    unknown = sigmoid(correction.scale_filling.logits(scores).astype(float))[blank].mean()
    every = sigmoid(correction.scale.logits(scores).astype(float)).mean()
    return unknown / (truth[blank] == PRESENT).mean(), every / (truth == PRESENT).mean()


@pytest.mark.parametrize(("present", "absent"), [(0.0, 0.0), (0.1, 0.1), (0.45, 0.09), (0.3, 0.0)])
def test_drawn_labels_make_probabilities_right_where_the_order_knew_more_than_the_score(present, absent):
    scores, labels, truth, review = reviewed(present=present, absent=absent)
    found = correct(scores, scores, labels, reviewed=review)
    assert found.source == "drawn labels" and found.images == review.drawn.sum()
    np.testing.assert_allclose(ratios(found, scores, labels, truth), 1, atol=0.1)
    np.testing.assert_allclose(found.unknown.mean(), (truth[labels == UNKNOWN] == PRESENT).mean(), rtol=0.1)
    without = correct(scores, scores, labels, reviewed=review._replace(drawn=review.drawn & False))
    assert without.source == "estimate"
    assert ratios(without, scores, labels, truth)[0] > 1.2, (
        "the estimate takes the order for blind given the score"
    )
    assert f"{found.images:,} answered labels that the review drew at random" in found.sentence


@pytest.mark.parametrize("drawn", [0.0, 0.001])
def test_too_few_drawn_labels_leave_the_estimate(drawn):
    scores, labels, _, review = reviewed(images=1000, drawn=drawn)
    assert correct(scores, scores, labels, reviewed=review).source == "estimate"


def test_a_calibration_set_and_a_given_prevalence_come_first():
    scores, labels, _, review = reviewed()
    assert correct(scores, scores, labels, None, 2.0, reviewed=review).source == "prevalence"


def test_a_few_asked_labels_leave_a_fair_sample():
    scores, labels, truth = made(present=0.3, absent=0.3)
    asked = np.zeros(labels.shape, bool)
    asked[:5] = labels[:5] == UNKNOWN
    labels = np.where(asked, truth, labels).astype(np.int8)
    found = correct(scores, scores, labels, reviewed=Reviewed(asked, asked & False))
    assert found.source == "fair sample"


def test_a_few_asked_labels_beside_present_ones_alone_are_left_out():
    scores, labels, truth = made(present=0.4, absent=0.0)
    asked = np.zeros(labels.shape, bool)
    asked[:4] = labels[:4] == UNKNOWN
    some = np.where(asked, truth, labels).astype(np.int8)
    assert 0 < (some == ABSENT).sum() < 50
    found = correct(scores, scores, some, reviewed=Reviewed(asked, asked & False))
    alone = correct(scores, scores, labels)
    np.testing.assert_array_equal(found.scale.offset, alone.scale.offset)
    np.testing.assert_array_equal(found.covariance, alone.covariance)


def test_known_labels_are_weighted_by_the_inverse_of_their_chance():
    """Of class one, 2 of 6 unknown labels were drawn: each stands for 3, and the others for one, a third of it."""
    labels = np.array([[PRESENT, ABSENT, ABSENT, PRESENT, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN]], np.int8).T
    drawn = np.zeros((8, 1), bool)
    drawn[[1, 2]] = True
    review = Reviewed(drawn.copy(), drawn)
    assert review.weights(labels)[:, 0].tolist() == [1 / 3, 1, 1, 1 / 3, 0, 0, 0, 0]
    nothing = Reviewed(drawn, drawn & False)
    assert not nothing.weights(labels).any(), "a class of which no label was drawn tells nothing"
    complete = np.array([[PRESENT], [ABSENT]], np.int8)
    assert Reviewed(complete > 5, complete > 5).weights(complete).tolist() == [[1.0], [1.0]]
    assert not review.are_enough(labels)


def test_the_weighted_mean_of_the_known_labels_is_that_of_all_on_average():
    means = []
    for seed in range(40):
        _, labels, truth, review = reviewed(images=300, asked=0.2, drawn=0.1, seed=seed)
        weight = review.weights(labels)
        means.append((weight * (labels == PRESENT)).sum() / weight.sum() - (truth == PRESENT).mean())
    assert abs(np.mean(means)) < 3 * np.std(means) / 40**0.5
    assert np.std(means) < 0.03


def test_asked_and_drawn_labels_are_found_by_their_sources():
    labels = np.array([[PRESENT, ABSENT, PRESENT, ABSENT, UNKNOWN]], np.int8)
    origins = Origins(np.array([[0, 1, 2, 3, 0]], np.uint8), SOURCES)
    found = Reviewed.of(labels, origins)
    assert found.asked.tolist() == [[False, False, True, True, False]]
    assert found.drawn.tolist() == [[False, False, False, True, False]]
    assert Reviewed.of(labels, None) is None
    assert Reviewed.of(labels[:, :2], Origins(origins.codes[:, :2], SOURCES)) is None
    assert [is_persons(name) for name in SOURCES] == [True] * 4
    assert [is_asked(name) for name in SOURCES] == [False, False, True, True]
    assert [is_drawn(name) for name in SOURCES] == [False, False, False, True]


def test_thresholds_after_a_review_are_those_of_all_labels_and_not_of_the_selected_ones():
    scores, labels, truth, review = reviewed(present=0.0, absent=0.0)
    names = tuple("abcdef")
    found = fit_tuning(names, scores, labels, reviewed=review)
    plain = fit_tuning(names, scores, truth)
    assert not found.fair and found.correction.source == "drawn labels"
    assert found.threshold == pytest.approx(plain.threshold, abs=0.08)


def test_a_reviewed_table_is_no_fair_sample_for_training():
    scores, labels, truth, review = reviewed(present=0.1, absent=0.1)
    codes = np.where(review.drawn, 3, np.where(review.asked, 2, np.where(labels != UNKNOWN, 1, 0))).astype(
        np.uint8
    )
    found = describe(labels, Origins(codes, SOURCES), scores)
    assert found.kind != "fair sample"
    assert found.estimated == pytest.approx((truth == PRESENT).sum(1).mean(), rel=0.2)
    assert describe(labels, None, scores).estimated < 0.7 * found.estimated, (
        "without the sources, far too few"
    )


def test_tune_finds_the_drawn_labels_of_the_table_that_a_run_learned_from(
    collection, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("partlabel.priors.reviewed.ENOUGH_DRAWN", 5)
    table = LabelTable.read(collection / "labels.csv", collection / "photos")
    out = tmp_path / "run"
    small = {"backbone": "test_resnet", "pretrained": False, "image_size": 32}
    steps = {
        "epochs": 1,
        "batch_size": 8,
        "val": 0.25,
        "accelerator": "cpu",
        "lr": 0.01,
        "weight_decay": 1e-4,
    }
    Tagger(table.classes, "bce", **small).fit(table, out=out, **steps)
    run = Run(out)
    own = run.table()
    codes = np.where(own.labels == UNKNOWN, 0, np.where(np.arange(len(own))[:, None] % 3, 3, 2)).astype(
        np.uint8
    )
    own.with_origins(Origins(codes, SOURCES)).save(run.labels)
    train = run.table().part("train")
    logits = np.random.default_rng(0).normal(-1, 1, train.labels.shape) + 2 * (train.labels == PRESENT)
    save_file({"logits": logits.astype(np.float32)}, run.out_of_fold)
    drawn = int(((codes == 3) & (np.array(own.split) == "train")[:, None]).sum())
    assert main(["tune", str(out), "--folds", "3"]) == 0
    assert Tuning.load(run.tuning).correction.source == "drawn labels"
    assert f"corrected by the {drawn:,} answered labels that the review drew" in " ".join(
        capsys.readouterr().out.split()
    )
    assert main(["fill", str(out), "--accept", "0.9", "--out", str(tmp_path / "filled.csv")]) == 0
    assert "that the review drew at random" in capsys.readouterr().out


def test_a_calibration_set_that_the_table_knows_is_right_after_a_review():
    """The rates at which labels are known are those of the labels that no review asked about."""
    scores, labels, truth, review = reviewed(present=0.45, absent=0.09, drawn=0.0)
    order_by_score = np.random.default_rng(1).random(scores.shape) < 0.3 * sigmoid(scores.astype(float))
    labels = np.where(review.asked, UNKNOWN, labels).astype(np.int8)
    asked = order_by_score & (labels == UNKNOWN)
    labels = np.where(asked, truth, labels).astype(np.int8)
    labels[:200] = truth[:200]
    given = CalibrationSet(scores[:200], scores[:200], truth[:200], np.zeros((200, 6), bool))
    found = correct(scores, scores, labels, given, reviewed=Reviewed(asked, asked & False))
    assert found.source == "calibration set"
    right, without = (
        ratios(each, scores, labels, truth)[0] for each in (found, correct(scores, scores, labels, given))
    )
    assert right == pytest.approx(1, abs=0.1) and without < right - 0.07


def test_a_few_drawn_labels_leave_a_large_fair_sample():
    scores, labels, truth = made(present=0.3, absent=0.3)
    drawn = (labels == UNKNOWN) & (np.random.default_rng(2).random(labels.shape) < 0.01)
    labels = np.where(drawn, truth, labels).astype(np.int8)
    review = Reviewed(drawn, drawn)
    assert review.are_enough(labels)
    assert correct(scores, scores, labels, reviewed=review).source == "fair sample"


def test_labels_that_were_all_drawn_are_a_fair_sample():
    scores, labels, _ = made(present=0.2, absent=0.2)
    origins = Origins(np.where(labels != UNKNOWN, 3, 0).astype(np.uint8), SOURCES)
    assert describe(labels, origins, scores).kind == "fair sample"


def test_labels_that_follow_from_rules_count_as_known_ones():
    """Class 0 is implied by the others, so that its present labels follow from theirs."""
    means = []
    for seed in range(4):
        scores, labels, truth, review = reviewed(present=0.0, absent=0.0, drawn=0.1, seed=seed)
        truth = truth.copy()
        truth[:, 0] = np.where((truth[:, 1:] == PRESENT).any(1), PRESENT, truth[:, 0])
        labels = np.where(review.asked, truth, UNKNOWN).astype(np.int8)
        implied = (labels[:, 1:] == PRESENT).any(1) & (labels[:, 0] == UNKNOWN)
        closed = labels.copy()
        closed[implied, 0] = PRESENT
        found = correct(scores, scores, labels, reviewed=review._replace(closed=closed))
        means.append(found.prevalence[0] / (truth[:, 0] == PRESENT).mean())
    assert np.mean(means) == pytest.approx(1, abs=0.1)


def test_new_classes_that_a_review_asked_about_are_tuned_as_such():
    scores, labels, _, review = reviewed(present=0.0, absent=0.0, drawn=0.0)
    before = fit_tuning(tuple("abcdef"), *made(present=0.3, absent=0.3)[:2])
    found = tuned_alone(before, tuple("uvwxyz"), scores, labels, reviewed=review)
    expected = correct(scores, scores, labels, reviewed=review)
    np.testing.assert_allclose(found.correction.unknown, expected.unknown)
    assert (
        tuned_alone(before, tuple("uvwxyz"), scores, labels).correction.unknown.sum()
        < 0.1 * expected.unknown.sum()
    )


def test_the_use_of_drawn_labels_is_said_with_their_number():
    labels = np.array([[PRESENT, ABSENT]] * 25, np.int8)
    drawn = np.ones(labels.shape, bool)
    assert Reviewed(drawn, drawn).sentence(labels, "t.csv") == (
        "25 present and 25 absent labels were drawn at random: train on t.csv, and tune corrects probabilities by them"
    )
    few = Reviewed(drawn[:3], drawn[:3]).sentence(labels[:3], "t.csv")
    assert few == (
        "3 present and 3 absent labels were drawn at random; tune corrects probabilities by them from 20 of each on"
    )
