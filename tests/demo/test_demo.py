"""The demo from end to end, on a few scenes."""

import math

import pytest

from partlabel import LabelTable, Tagger
from partlabel.data.tables.filled import FilledTable
from partlabel.demo import run


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
