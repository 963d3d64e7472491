"""Filling at a precision, from the command line to the table; tuning by what training kept or users give."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from made import sigmoid
from partlabel import LabelTable, Tagger, sharded
from partlabel.cli.main import main
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.posthoc import tuning
from partlabel.posthoc.tuning_fit import fit_tuning
from partlabel.posthoc.tuning_result import Tuning
from partlabel.training.run_folder import Run

SMALL = {"backbone": "test_resnet", "pretrained": False, "image_size": 32}
BY_STEPS = {"epochs": 1, "batch_size": 8, "val": 0.25, "accelerator": "cpu", "lr": 0.01, "weight_decay": 1e-4}
"""Trained by steps: without a search of the weight decay, which would keep out-of-fold logits."""


@pytest.fixture(scope="module")
def trained(collection, tmp_path_factory):
    table = LabelTable.read(collection / "labels.csv", collection / "photos")
    out = tmp_path_factory.mktemp("runs") / "plain"
    Tagger(table.classes, "bce", **SMALL).fit(table, out=out, **BY_STEPS)
    return out


def test_few_labels_are_taken_for_a_fair_sample():
    logits, labels, _ = editors(60)
    assert (labels == PRESENT).sum() < 50
    found = fit_tuning(tuple("abcd"), logits, labels)
    assert found.correction.source == "fair sample" and found.fair


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def kept(run, seed=0):
    """Write out-of-fold logits of the training images, which are right: present labels are told apart."""
    train = Run(run).table().part("train")
    random = np.random.default_rng(seed)
    logits = random.normal(-1, 1, train.labels.shape) + 3 * (train.labels == PRESENT)
    save_file({"logits": logits.astype(np.float32)}, run / "out_of_fold.safetensors")
    return train, logits.astype(np.float32)


def test_a_run_is_tuned_on_the_logits_that_training_kept(run, capsys):
    train, logits = kept(run)
    assert main(["tune", str(run), "--folds", "3", "--prevalence", "1.5"]) == 0
    found = Tuning.load(Run(run).tuning)
    assert found.images == len(train) and found.correction.source == "prevalence"
    assert sigmoid(found.correction.scale.logits(logits).astype(float)).sum(1).mean() == pytest.approx(
        1.5, rel=1e-3
    )
    assert "corrected for the given prevalence: 1.5 of 4 classes present per image" in " ".join(
        capsys.readouterr().out.split()
    )


def test_blanks_of_training_images_are_filled_by_those_logits_and_no_photo_is_read(run, monkeypatch):
    train, logits = kept(run)
    tagger = Tagger.load(run)
    tagger.completion = None
    monkeypatch.setattr("partlabel.training.filling.scored_readable", None)
    filled = tagger.fill(train)
    blank = train.labels == UNKNOWN
    np.testing.assert_allclose(filled.probability[blank], sigmoid(logits)[blank], rtol=1e-5)
    monkeypatch.undo()
    whole = Run(run).table()
    both = tagger.fill(whole)
    assert both.table.images == whole.images
    others = np.array([part != "train" for part in whole.split])
    plain = Tagger.load(run)
    plain.out_of_fold, plain.completion = None, None
    np.testing.assert_allclose(both.probability[others], plain.fill(whole).probability[others], rtol=1e-4)


def test_logits_of_another_table_are_refused(run):
    save_file({"logits": np.zeros((2, 4), np.float32)}, run / "out_of_fold.safetensors")
    with pytest.raises(
        ValueError, match=r"out_of_fold.safetensors holds logits of shape \(2, 4\) for .*; train again"
    ):
        Tagger.load(run)


def test_labels_are_filled_at_a_precision_and_it_is_said_how_many_are_right(run, tmp_path, capsys):
    train, _ = kept(run)
    path = train.with_split(None).save(tmp_path / "given.csv")
    images = str(train.root)
    out = tmp_path / "filled.csv"
    typed = ["fill", str(run), str(path), "--images", images, "--prevalence", "1.5", "--out", str(out)]
    assert main([*typed, "--precision", "0.6", "--reject", "0.02"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "are expected to be right" in printed and "90 % interval" in printed
    assert "corrected for the given prevalence" in printed
    assert not Run(run).tuning.exists(), "a run is not changed by filling"
    assert main([*typed, "--precision", "0.6", "--precision-of", "class"]) == 0
    assert main([*typed, "--precision", "0.6", "--accept", "0.9"]) == 2
    assert "both decide which labels become present; give one" in capsys.readouterr().err


def test_without_calibration_there_is_no_precision_and_a_fair_sample_is_assumed(run, tmp_path, capsys):
    out = str(tmp_path / "filled.csv")
    assert main(["fill", str(run), "--precision", "0.9", "--out", out]) == 2
    said = capsys.readouterr().err
    assert (
        "precision (--precision) needs calibrated probabilities, and bce@plain has none: run partlabel tune"
        in said
    )
    assert main(["fill", str(run), "--accept", "0.9", "--out", out]) == 0
    printed = capsys.readouterr().out
    assert "Probabilities assume that known labels are a fair sample and are not calibrated" in printed


def test_a_calibration_set_is_read_from_a_file(run, collection, tmp_path):
    kept(run)
    whole = LabelTable.read(collection / "labels.csv", collection / "photos")
    complete = np.where(whole.labels == UNKNOWN, ABSENT, whole.labels).astype(np.int8)
    marks = [row < 24 for row in range(len(whole))]
    path = whole.with_labels(complete).with_split(None).with_calibration(marks).save(tmp_path / "set.csv")
    typed = ["tune", str(run), "--folds", "3", "--calibration", str(path), "--images", str(whole.root)]
    assert main(typed) == 0
    found = Tuning.load(Run(run).tuning).correction
    assert found.source == "calibration set" and found.images == 24


def test_the_set_that_the_review_of_a_run_collected_is_found(run):
    from partlabel.review.decisions import DecisionLog

    train, _ = kept(run)
    decisions = DecisionLog(Run(run).decisions)
    rows = [row for row in range(len(train)) if (train.labels[row] != ABSENT).any()][:20]
    for row in rows:
        said = {
            name: "absent" if train.labels[row, column] == ABSENT else "present"
            for column, name in enumerate(train.classes)
            if train.labels[row, column] == UNKNOWN
        }
        decisions.add_sheet(f"ask {row}", "desk", "ann", train.images[row], "complete", said)
    decisions.close()
    assert main(["tune", str(run), "--folds", "3"]) == 0
    found = Tuning.load(Run(run).tuning).correction
    assert found.source == "calibration set" and found.images == len(rows)


def test_shards_are_filled_at_a_precision_and_another_precision_is_another_request(run, tmp_path, capsys):
    kept(run)
    assert main(["tune", str(run), "--folds", "3", "--prevalence", "1.5"]) == 0
    out = str(tmp_path / "shards")
    typed = ["fill", str(run), "--engine", "local", "--out", out]
    assert main([*typed, "--precision", "0.6"]) == 0
    assert main([*typed, "--precision", "0.6"]) == 0
    assert main([*typed, "--precision", "0.7"]) == 2
    assert "precision was 0.6 and is 0.7" in capsys.readouterr().err
    assert main([*typed, "--prevalence", "2"]) == 2
    assert (
        "partlabel tune; give --calibration or --prevalence to that command first" in capsys.readouterr().err
    )
    assert sharded.Job("fill", run, tmp_path).precision is None


def editors(images=2500, seed=0):
    """Labels as an editor sets them, of classes whose logits are right."""
    random = np.random.default_rng(seed)
    logits = random.normal(-3, 2, (images, 4)).astype(np.float32)
    truth = random.random(logits.shape) < sigmoid(logits)
    told = random.random(logits.shape) < np.where(truth, 0.6, 0.05)
    return logits, np.where(told, truth, UNKNOWN).astype(np.int8), truth


def test_thresholds_of_an_editors_labels_are_those_of_all_labels():
    """On known labels alone, of which most are present, a precision of 0.8 would be met far too easily."""
    logits, labels, truth = editors()
    found = fit_tuning(tuple("abcd"), logits, labels, aim="precision", at=0.8)
    assert not found.fair and found.correction.source == "estimate"
    p = sigmoid(found.logits(logits).astype(float))
    chosen = p >= np.array(found.thresholds)
    assert truth[chosen].mean() == pytest.approx(0.8, abs=0.06)
    known = labels != UNKNOWN
    assert (labels[known] == PRESENT).mean() > 0.5


def test_present_labels_alone_are_enough_to_tune_and_too_few_are_refused():
    logits, labels, _ = editors()
    labels = np.where(labels == ABSENT, UNKNOWN, labels).astype(np.int8)
    assert fit_tuning(tuple("abcd"), logits, labels).correction.rate_absent == 0
    few = np.full((40, 4), UNKNOWN, np.int8)
    few[:10, 0] = PRESENT
    with pytest.raises(
        ValueError, match=r"tuning needs both, or 50 present ones, or .*\(--calibration FILE\)"
    ):
        fit_tuning(tuple("abcd"), logits[:40], few)


def test_a_tuning_of_the_format_before_is_read(tmp_path):
    logits, labels, _ = editors(300)
    path = tmp_path / "tuning.json"
    fit_tuning(tuple("abcd"), logits, labels).save(path)
    values = json.loads(path.read_text())
    del values["correction"]
    path.write_text(json.dumps(values | {"format": 1}))
    assert Tuning.load(path).correction is None and Tuning.load(path).fair


def test_a_correction_is_loaded_as_it_was_saved(tmp_path):
    logits, labels, _ = editors(1000)
    found = fit_tuning(tuple("abcd"), logits, labels)
    found.save(tmp_path / "tuning.json")
    again = Tuning.load(tmp_path / "tuning.json")
    assert again.correction.sentence == found.correction.sentence
    np.testing.assert_array_equal(again.logits_filling(logits), found.logits_filling(logits))
    assert "drawn from corrected probabilities" in rendered(again)


def rendered(found):
    from rich.console import Console

    console = Console(width=400, record=True, quiet=False)
    with console.capture() as capture:
        console.print(found)
    return capture.get()


def test_a_table_of_which_nothing_is_known_has_the_probabilities_of_new_images(run):
    kept(run)
    tagger = Tagger.load(run)
    tuning.tune(tagger, prevalence=1.5, folds=3)
    whole = tagger.out_of_fold.table
    blank = whole.with_labels(np.full(whole.labels.shape, UNKNOWN, np.int8)).with_split(None)
    tagger.completion = None
    expected = sigmoid(tagger.tuning.correction.scale.logits(tagger.out_of_fold.logits))
    np.testing.assert_allclose(tagger.fill(blank).probability, expected, rtol=1e-4)
