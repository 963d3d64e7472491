"""The demo from end to end, on a few scenes."""

import math
from contextlib import closing
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from partlabel import LabelTable, Tagger
from partlabel.cli.commands._reading import RunOptions
from partlabel.data.tables.filled import FilledTable
from partlabel.demo import captioned, run
from partlabel.review.build import build_app
from partlabel.training.run_folder import Run


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    return out, run.run(out, scenes=60, epochs=1, image_size=64)


@pytest.mark.slow
def test_the_demo_scores_both_methods_and_leaves_a_report(ran):
    out, said = ran
    assert set(said["mAP"]) == {"ssgrl", "sst"}
    assert all(0 < value < 100 for value in said["mAP"].values())
    page = said["report"].read_text()
    assert said["report"] == out / "report.html"
    assert "partlabel demo" in page
    assert "SSGRL, without transfer" in page


@pytest.mark.slow
def test_it_hides_labels_of_training_scenes_alone(ran):
    out, _ = ran
    truth, table = (LabelTable.read(out / name) for name in ("scenes/labels.csv", "labels.csv"))
    train = table.part("train")
    assert train.known / train.labels.size == pytest.approx(0.2, abs=0.03)
    assert table.part("test").unknown == 0
    known = table.labels != -1
    assert (table.labels[known] == truth.labels[known]).all()


@pytest.mark.slow
def test_it_fills_blanks_and_leaves_known_labels_alone(ran):
    out, said = ran
    table = LabelTable.read(out / "labels.csv").part("train")
    filled = FilledTable.load(out / "filled.csv")
    known = table.labels != -1
    assert (filled.table.labels[known] == table.labels[known]).all()
    assert ((filled.table.labels != -1) & ~known).sum() == said["filled"]
    assert math.isnan(said["right"]) or 0 <= said["right"] <= 1


@pytest.mark.slow
def test_half_of_the_scenes_have_a_caption_which_the_table_and_the_file_hold(ran):
    out, _ = ran
    table = LabelTable.read(out / "labels.csv")
    assert [bool(texts) for texts in table.texts] == [row % 2 == 1 for row in range(60)]
    assert (out / "scenes/captions.csv").read_text().count("a picture") == 30


@pytest.mark.slow
def test_captions_are_reasons_for_filled_labels_in_the_file_and_in_the_report(ran):
    out, said = ran
    reasons = pl.read_csv(out / "reasons.csv")
    assert reasons.columns == ["image", "class", "probability", "reason"]
    assert said["unknown"]["captions"] >= said["unknown"]["image"]
    assert "Texts beside the photos" in said["report"].read_text()
    assert Run(out / "captions").report.exists()


@pytest.mark.slow
def test_the_review_of_its_run_shows_a_caption(ran):
    out, _ = ran
    run = Run(out / "captions")
    _, session = build_app(run, RunOptions(run.folder).chosen.read("keep"), port=8765)
    with closing(session.decisions):
        assert session.beside.reason(1, 0).texts[0][0].text.startswith("a picture")


def test_the_example_is_a_right_label_whose_reason_begins_with_a_caption():
    labels = np.array([[1, 1, 0]], np.int8)
    truth = LabelTable(("a.jpg",), ("cat", "dog", "fish"), labels)
    reasons = pl.DataFrame(
        [
            ("a.jpg", "fish", 0.99, 'text: "a fish"; image: 40% by itself'),
            ("a.jpg", "cat", 0.97, 'image: 90% by itself; text: "a cat"'),
            ("a.jpg", "dog", 0.95, 'text: "a dog"; image: 40% by itself'),
        ],
        schema=["image", "class", "probability", "reason"],
        orient="row",
    )
    blank = replace(truth, labels=np.full((1, 3), -1, np.int8))
    assert captioned.example_of(reasons, blank, truth) == (
        'a.jpg: dog, probability 0.95; text: "a dog"; image: 40% by itself'
    )
    assert captioned.example_of(reasons[:2], blank, truth) == ""


@pytest.mark.slow
def test_its_runs_can_be_loaded_and_its_cache_is_gone(ran):
    out, _ = ran
    assert Tagger.load(out / "sst").name == "sst@sst"
    assert not (out / "cache").exists()


@pytest.mark.slow
def test_it_can_be_run_again_in_the_same_folder_and_says_the_same(ran):
    out, said = ran
    (out / "mine.txt").write_text("kept")
    again = run.run(out, scenes=60, epochs=1, image_size=64)
    assert again["mAP"] == said["mAP"]
    assert (out / "mine.txt").read_text() == "kept"
