"""Thresholds and calibration: found on known labels of validation images, judged on images left out."""

import copy
import json
import shutil

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from partlabel import LabelTable, Tagger, sharded
from partlabel.cli.main import main
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.evaluation.thresholds import Goal, threshold, thresholds
from partlabel.posthoc import tuning
from partlabel.posthoc.category_finetuning import fine_tune
from partlabel.posthoc.label_completion import Completion
from partlabel.posthoc.probability_model import probability
from partlabel.posthoc.scale_fitting import fit_scale
from partlabel.posthoc.tuning_fit import fit_tuning
from partlabel.posthoc.tuning_result import Tuning
from partlabel.priors.scale import Scale
from partlabel.sharded import manifest
from partlabel.training.run_folder import Run
from small import QUICK, SMALL

F1, PRECISE, COMPLETE = Goal("f1"), Goal("precision", 0.8), Goal("recall", 0.8)


def drawn(images=400, classes=3, known=0.7, seed=0, slope=1.0, offset=0.0):
    """Logits, and labels that are present as often as `slope * logit + offset` says."""
    random = np.random.default_rng(seed)
    logits = random.normal(-1, 2, (images, classes))
    present = random.random(logits.shape) < 1 / (1 + np.exp(-(slope * logits + offset)))
    labels = np.where(random.random(logits.shape) < known, present, UNKNOWN).astype(np.int8)
    return logits.astype(np.float32), labels


def names(labels):
    return tuple("abcdefgh"[: labels.shape[1]])


# Thresholds


@pytest.mark.parametrize("seed", range(5))
def test_no_other_cut_has_a_larger_f1(seed):
    random = np.random.default_rng(seed)
    scores, present = random.normal(size=40).round(1).astype(np.float32), random.random(40) < 0.3
    found = threshold(scores, present, F1)
    best = max(f1_score(present, scores >= cut) for cut in np.unique(scores))
    assert f1_score(present, scores >= found) == pytest.approx(best)
    assert found == scores.min() or found not in scores, "it lies between scores"


def test_a_threshold_that_can_be_checked_by_hand():
    scores = np.array([4, 3, 2, 1, 0], np.float32)
    present = np.array([True, True, False, True, False])
    assert threshold(scores, present, F1) == 0.5  # 3 of 4 right, none missed: 6/7; after two: 4/5
    assert (
        threshold(scores, present, PRECISE) == 2.5
    )  # 2 of 2; with the fourth 3 of 4 are right, which is less
    assert threshold(scores, present, COMPLETE) == 0.5  # 3 of 3 found; two are 0.67


def test_an_aim_out_of_reach_takes_the_nearest():
    scores, present = np.array([3, 2, 1], np.float32), np.array([False, True, False])
    assert threshold(scores, present, PRECISE) == 1.5  # 1 of 2, the most precise there is


def test_of_tied_scores_all_come_in_or_none():
    scores, present = np.array([1, 1, 0], np.float32), np.array([True, False, False])
    assert threshold(scores, present, PRECISE) == 0.5


def test_a_class_is_drawn_to_all_classes_as_far_as_it_is_rarely_seen():
    logits, labels = drawn(images=60)
    known = labels != UNKNOWN
    found = thresholds(logits, labels, F1, shrink=7.0)
    common = found.common
    for c in range(3):
        own = threshold(logits[known[:, c], c], labels[known[:, c], c] == PRESENT, F1)
        n = (labels[:, c] == PRESENT).sum()
        assert found.by_class[c] == pytest.approx((n * own + 7 * common) / (n + 7))


def test_the_threshold_of_all_classes_is_best_by_the_mean_of_their_f1():
    logits, labels = drawn(images=100, known=1.0, offset=np.array([2.0, 0.0, -3.0]))
    logits = logits.round(1)

    def mean_f1(cut):
        return f1_score(labels, logits >= cut, average="macro")

    assert mean_f1(F1.common(logits, labels)) == pytest.approx(max(map(mean_f1, np.unique(logits))))


def test_the_threshold_of_all_classes_at_a_precision_is_that_of_all_labels():
    logits, labels = drawn()
    known = labels != UNKNOWN
    assert PRECISE.common(logits, labels) == threshold(logits[known], labels[known] == PRESENT, PRECISE)


def test_a_class_of_which_one_kind_is_known_has_the_threshold_of_all():
    logits, labels = drawn()
    labels[:, 0] = np.where(labels[:, 0] == PRESENT, UNKNOWN, labels[:, 0])
    labels[:, 1] = np.where(labels[:, 1] == ABSENT, UNKNOWN, labels[:, 1])
    labels[:, 2][:20] = PRESENT
    found = thresholds(logits, labels, F1, shrink=0.0)
    assert (found.by_class[:2] == found.common).all() and found.by_class[2] != found.common


def test_unknown_labels_move_no_threshold():
    logits, labels = drawn()
    other = np.where(labels == UNKNOWN, logits + 50, logits)
    before, after = (thresholds(given, labels, F1, 5.0) for given in (logits, other))
    assert before.common == after.common and np.array_equal(before.by_class, after.by_class)


@pytest.mark.parametrize(("aim", "reached"), [("precision", "precision"), ("recall", "recall")])
def test_an_aim_of_precision_or_recall_is_met_on_images_left_out(aim, reached):
    logits, labels = drawn(images=6000, known=1.0)
    found = fit_tuning(names(labels), logits, labels, aim=aim, at=0.8)
    assert getattr(found.gain, reached)[2] == pytest.approx(0.8, abs=0.03)


# Calibration


def test_a_slope_and_offsets_are_found_again():
    logits, labels = drawn(images=20000, known=1.0, slope=0.5, offset=np.array([-1.0, 0.0, 1.5]))
    scale = fit_scale(logits, labels)
    assert scale.slope == pytest.approx(0.5, abs=0.03)
    np.testing.assert_allclose(scale.offset, [-1, 0, 1.5], atol=0.1)


def test_a_class_of_which_nothing_is_known_goes_with_the_others():
    logits, labels = drawn(images=20000, known=1.0, offset=2.0)
    labels[:, 2] = UNKNOWN
    scale = fit_scale(logits, labels)
    np.testing.assert_allclose(scale.slope * -1 + scale.offset, [1, 1, 1], atol=0.1)  # of a logit of -1


def test_calibration_lowers_the_log_loss_where_logits_are_too_sure():
    logits, labels = drawn(slope=0.3)
    found = fit_tuning(names(labels), logits, labels)
    known = labels != UNKNOWN
    before, after = found.gain.log_loss
    sure = probability(logits)[known]
    assert before == pytest.approx(log_loss(labels[known] == PRESENT, sure.astype(np.float64)), rel=1e-5)
    assert after < before - 0.2
    assert found.scale.slope == pytest.approx(0.3, abs=0.1)


def test_calibration_that_does_not_help_is_left_out():
    kept = [fit_tuning(names(drawn()[1]), *drawn(images=60, seed=seed)) for seed in range(8)]
    without = [found for found in kept if found.scale is None]
    assert without, "logits that are right already are seldom bettered by sixty images"
    assert all(found.gain.log_loss[0] == found.gain.log_loss[1] for found in without)


def test_figures_are_of_images_that_took_no_part():
    """Where labels are chance, thresholds found and judged on the same few images would look good."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(40, 30)).astype(np.float32)
    labels = (random.random((40, 30)) < 0.15).astype(np.int8)
    classes = tuple(f"{c}" for c in range(30))
    found = fit_tuning(classes, logits, labels, shrink=0.0)
    scaled = found.logits(logits)
    cut = np.log(np.array(found.thresholds) / (1 - np.array(found.thresholds)))
    hindsight = np.mean([f1_score(labels[:, c], scaled[:, c] >= cut[c]) for c in range(30)])
    assert found.gain.f1[2] + 0.1 < hindsight


def test_f1_before_is_that_of_probability_one_half():
    logits, labels = drawn(known=1.0)
    gain = fit_tuning(names(labels), logits, labels).gain
    for c in range(3):
        assert gain.class_f1[c][0] == pytest.approx(f1_score(labels[:, c], logits[:, c] >= 0))
    assert gain.f1[0] == pytest.approx(f1_score(labels, logits >= 0, average="macro"))
    assert gain.of1[0] == pytest.approx(f1_score(labels, logits >= 0, average="micro"))


# Options and files


def test_what_makes_no_sense_is_refused():
    logits, labels = drawn(images=10)
    for options, message in (
        ({"at": 90.0, "aim": "precision"}, r"at is 90.0; the precision or recall to reach lies in \(0, 1\]"),
        ({"shrink": -1.0}, "shrink is -1.0; it is a number of images"),
        ({"folds": 1}, "folds is 1; it has to be at least 2"),
        ({"folds": 11}, "10 images cannot be divided into 11 folds"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_tuning(names(labels), logits, labels, **options)
    absent = np.where(labels == PRESENT, ABSENT, labels)
    with pytest.raises(ValueError, match=r"of 10 images 0 labels are known to be present and \d+ absent"):
        fit_tuning(names(labels), logits, absent)


@pytest.mark.parametrize("known", [0.7, 0.0])
def test_a_tuning_is_loaded_as_it_was_saved(known, tmp_path):
    logits, labels = drawn(slope=0.4)
    labels[:, 0] = np.where(known, labels[:, 0], UNKNOWN)  # a class that cannot be scored has no F1
    found = fit_tuning(names(labels), logits, labels, voted=logits * 2)
    found.save(tmp_path / "tuning.json")
    again = Tuning.load(tmp_path / "tuning.json")
    assert again.thresholds == found.thresholds and again.classes == found.classes
    assert again.scale.slope == found.scale.slope
    assert np.array_equal(again.logits(logits), found.logits(logits))
    assert np.array_equal(again.logits_filling(logits), found.logits_filling(logits))
    assert str(again.gain) == str(found.gain)  # NaN is not equal to itself
    assert np.isnan(again.gain.class_f1[0][1]) == (not known)


def test_files_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "tuning.json"
    path.write_text('{"format": 3}')
    with pytest.raises(ValueError, match="is of format 3, and this version of partlabel reads 1, 2: install"):
        Tuning.load(path)
    path.write_text('{"format": 1, "classes": []}')
    with pytest.raises(ValueError, match="is not a valid result of partlabel tune: "):
        Tuning.load(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda values: values["thresholds"].pop(), "thresholds has 2 entries for 3 classes"),
        (lambda values: values["thresholds_filling"].pop(), "thresholds_filling has 2 entries for 3 classes"),
        (lambda values: values["scale"]["offset"].pop(), "scale has 2 entries for 3 classes"),
        (lambda values: values["gain"]["class_f1"].pop(), "gain.class_f1 has 2 entries for 3 classes"),
    ],
)
def test_a_tuning_has_one_of_everything_for_each_class(change, said, tmp_path):
    logits, labels = drawn(slope=0.4)
    path = tmp_path / "tuning.json"
    fit_tuning(names(labels), logits, labels, voted=logits * 2).save(path)
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(
        ValueError, match=rf"tuning.json is not a valid result .*: {said}; run partlabel tune again"
    ):
        Tuning.load(path)


# Taggers


@pytest.fixture(scope="module")
def table(drawn):
    return drawn


@pytest.fixture(scope="module")
def fitted(plain_run):
    return plain_run


@pytest.fixture
def run(fitted, tmp_path):
    """A copy of the run, to be tuned."""
    return shutil.copytree(fitted[1], tmp_path / "run")


def with_scales(tagger, table, aim="f1"):
    """A tuned copy whose calibrations are known."""
    tagger = copy.copy(tagger)
    found = fit_tuning(tagger.classes, tagger.scores(table), table.labels, aim=aim)
    object.__setattr__(found, "scale", Scale(0.5, np.array([1.0, 0, 0, -1])))
    object.__setattr__(found, "scale_filling", Scale(0.25, np.array([2.0, 0, 0, -2])))
    tagger.tuning = found
    return tagger


def test_predictions_of_a_tuned_tagger_are_calibrated(fitted, table, tmp_path):
    tagger = with_scales(fitted[0], table)
    expected = probability((0.5 * tagger.scores(table) + [1, 0, 0, -1]).astype(np.float32))
    found = tagger.predict(table.root).drop("image").to_numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    again = Tagger.load(tagger.save(tmp_path / "saved"))
    assert np.array_equal(again.predict(table.root).drop("image").to_numpy(), found)
    assert np.array_equal(again.scores(table), fitted[0].scores(table)), "logits stay the model's"


def test_filling_of_a_tuned_tagger_is_calibrated_after_the_vote(fitted, table):
    tagger = with_scales(fitted[0], table)
    blank = table.labels == UNKNOWN
    rows = blank.any(axis=1)
    logits = tagger.scores(table)
    tagger.completion = None
    expected = probability((0.5 * logits + [1, 0, 0, -1]).astype(np.float32))
    np.testing.assert_allclose(tagger.fill(table).probability[blank], expected[blank], rtol=1e-4)
    tagger.completion = Completion(np.full((4, 4), 0.3, np.float32))
    voted = tagger.completion.logits(logits, table.labels)
    expected = probability((0.25 * voted + [2, 0, 0, -2]).astype(np.float32))
    np.testing.assert_allclose(tagger.fill(table).probability[rows][blank[rows]], expected[blank], rtol=1e-4)


def test_an_untuned_tagger_says_what_it_said(fitted, table):
    assert fitted[0].tuning is None and not Run(fitted[1]).tuning.exists()
    found = fitted[0].predict(table.root).drop("image").to_numpy()
    np.testing.assert_allclose(found, probability(fitted[0].scores(table)), rtol=1e-5)


def test_tuning_looks_at_the_validation_part_alone(run):
    tagger, table = Tagger.load(run), Run(run).table()
    found = tuning.tune(tagger, table, folds=3)
    val = table.part("val")
    assert found.images == len(val) and tagger.tuning is found
    turned = table.labels.copy()
    kept = np.array([part == "val" for part in table.split])
    turned[~kept] = np.where(turned[~kept] == UNKNOWN, UNKNOWN, 1 - turned[~kept])
    again = tuning.tune(tagger, table.with_labels(turned), folds=3)
    assert again.thresholds == found.thresholds
    assert tuning.tune(tagger, val.with_split(None), folds=3).thresholds == found.thresholds


def test_a_table_with_parts_and_no_validation_is_refused(fitted, table):
    with pytest.raises(
        ValueError, match=r"has the parts 'train', 'test' and none is 'val'; tuning takes images"
    ):
        tuning.tune(fitted[0], table)


def test_a_tuning_of_other_classes_is_refused(fitted, run):
    logits, labels = drawn()
    fit_tuning(names(labels), logits, labels).save(Run(run).tuning)
    with pytest.raises(ValueError, match=r"tuning.json is of other classes than .*run partlabel tune again"):
        Tagger.load(run)


def test_training_and_fine_tuning_drop_what_was_tuned_for_other_weights(fitted, table, tmp_path):
    tagger = with_scales(fitted[0], table)
    tagger.save(tmp_path / "a")
    assert Run(tmp_path / "a").tuning.exists()
    again = Tagger(table.classes, "bce", head="average", **SMALL)
    again.fit(table, out=tmp_path / "b", **QUICK)
    again.tuning = tagger.tuning
    fine_tune(again, table.part("train"), table.part("test"), epochs=1)
    assert again.tuning is None
    again.save(tmp_path / "a")
    assert not Run(tmp_path / "a").tuning.exists()


def test_the_verb_says_what_it_found_and_keeps_it(run, capsys):
    before = (run / "model.safetensors").read_bytes()
    assert main(["tune", str(run), "--folds", "3", "--shrink", "5"]) == 0
    printed = capsys.readouterr().out
    for word in ("threshold", "F1 at 0.5", "yellow", "at each class's own", "log loss"):
        assert word in printed, word
    assert f"written to {run / 'tuning.json'}" in printed
    kept = json.loads((run / "tuning.json").read_text())
    assert kept["shrink"] == 5 and kept["aim"] == "f1" and len(kept["thresholds"]) == 4
    assert (run / "model.safetensors").read_bytes() == before
    assert Tagger.load(run).tuning.thresholds == tuple(kept["thresholds"])


def test_shards_of_an_untuned_model_are_not_those_of_a_tuned_one(run, tmp_path):
    job = sharded.Job("predict", run, tmp_path / "out")
    before = manifest.request_of(job)
    assert manifest.request_of(job) == before
    main(["tune", str(run), "--folds", "3"])
    assert manifest.request_of(job)["model"] != before["model"]


def test_filling_by_tuned_thresholds_decides_each_class_by_its_own(fitted, table):
    tagger = with_scales(fitted[0], table, "precision")
    tagger.completion = None
    cuts = np.float32(tagger.tuning.thresholds)
    filled = tagger.fill(table, accept="tuned", reject="tuned")
    blank = table.labels == UNKNOWN
    expected = np.where(filled.probability >= cuts, PRESENT, ABSENT)
    np.testing.assert_array_equal(filled.table.labels[blank], expected[blank])
    np.testing.assert_array_equal(filled.table.labels[~blank], table.labels[~blank])
    half = tagger.fill(table, accept="tuned").table.labels
    np.testing.assert_array_equal(half[blank], np.where(expected == PRESENT, PRESENT, UNKNOWN)[blank])
    tagger.completion = Completion(np.full((4, 4), 0.3, np.float32))
    object.__setattr__(tagger.tuning, "thresholds_filling", (0.99, 0.01, 0.99, 0.01))
    voted = tagger.fill(table, accept="tuned")
    expected = voted.probability >= np.float32([0.99, 0.01, 0.99, 0.01])
    np.testing.assert_array_equal(voted.table.labels[blank] == PRESENT, expected[blank])
    with pytest.raises(
        ValueError, match=r"accept=0.0099.* and reject=0.05 for class 'green': thresholds are"
    ):
        tagger.fill(table, accept="tuned", reject=0.05)


def test_thresholds_for_filling_are_those_of_the_votes():
    logits, labels = drawn()
    voted = 2 * logits + 1
    found = fit_tuning(names(labels), logits, labels, voted)
    assert fit_tuning(names(labels), voted, labels).thresholds == found.thresholds_filling
    assert fit_tuning(names(labels), logits, labels).thresholds_filling is None


def test_decisions_are_by_tuned_thresholds(fitted, table):
    tagger = with_scales(fitted[0], table)
    p = tagger.predict(table.root).drop("image").to_numpy()
    decided = tagger.decide(table.root)
    np.testing.assert_array_equal(decided.table.labels, p >= np.float32(tagger.tuning.thresholds))
    np.testing.assert_array_equal(decided.probability, p)


def test_the_verbs_go_by_tuned_thresholds_and_say_when_there_are_none(run, collection, tmp_path, capsys):
    photos, out = str(collection / "photos"), str(tmp_path / "new.csv")
    shards_out = str(tmp_path / "shards")
    local = ["--engine", "local", "--out", shards_out]
    for typed in (
        ["predict", str(run), photos, "--decide", "--out", out],
        ["predict", str(run), photos, "--decide", *local],
        ["fill", str(run), "--accept", "tuned", "--out", out],
        ["fill", str(run), "--reject", "tuned", *local],
    ):
        assert main(typed) == 2
        assert (
            "bce@plain has no thresholds of its own: run partlabel tune RUN first" in capsys.readouterr().err
        )
    assert main(["tune", str(run), "--folds", "3"]) == 0
    for side in ("accept", "reject"):
        assert main(["fill", str(run), f"--{side}", "tuned", "--out", out]) == 2
        said = capsys.readouterr().err
        assert f"--{side} tuned: the thresholds of bce@plain maximise F1" in said
        assert "fill at a given precision instead (--precision 0.95)" in said
    assert main(["tune", str(run), "--folds", "3", "--aim", "precision"]) == 0
    assert main(["predict", str(run), photos, "--decide", "--out", out]) == 0
    table = LabelTable.read(out, photos)
    assert f"{table.present:,} of 128 labels are present" in capsys.readouterr().out
    assert main(["predict", str(run), photos, "--decide", *local]) == 0
    whole = LabelTable.read(tmp_path / "shards/000000000000.parquet", photos)
    np.testing.assert_array_equal(whole.labels, table.labels)
    assert main(["fill", str(run), "--accept", "tuned", "--reject", "tuned", "--out", out]) == 0
    assert LabelTable.read(out).unknown == 0
    tasks = tmp_path / "tasks.json"
    assert main(["fill", str(run), "--accept", "tuned", "--to", "label_studio", "--out", str(tasks)]) == 0
    assert json.loads(tasks.read_text())[0]["predictions"][0]["model_version"] == "bce@plain"
    assert main(["fill", str(run), "--to", "fiftyone", "--out", out]) == 2
    assert "writes one file: name it with --out, ending in .json" in capsys.readouterr().err
    assert main(["predict", str(run), photos, *local]) == 2
    assert "decide was True and is None" in capsys.readouterr().err
