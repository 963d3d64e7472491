"""What a tower is used for: filling, reviewing and prediction by class names alone, as they are typed."""

import shutil

import numpy as np
import polars as pl
import pytest
import torch

from partlabel.cli.main import main
from partlabel.core.labels import UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.tagger import Tagger
from partlabel.training.caching import Where
from partlabel.training.run_folder import Run
from partlabel.training.towers import loading
from partlabel.training.towers.config import AlignmentConfig, EncoderConfig
from partlabel.training.towers.from_photos import align_photos
from partlabel.training.towers.photos import PhotoReading, means_for
from partlabel.training.towers.zero_shot import predict_names
from small import SMALL

pytestmark = pytest.mark.filterwarnings("ignore:.*photos have no text", "ignore:.*never present")


def captions(table):
    """Describe each drawing by the names of its classes."""
    return tuple(
        (" and ".join(name for name, cell in zip(table.classes, row, strict=True) if cell == 1) or "nothing",)
        for row in table.labels
    )


@pytest.fixture(scope="module")
def table(collection):
    return LabelTable.read(collection / "labels.csv", images=collection / "photos")


@pytest.fixture(scope="module")
def towers(table, tmp_path_factory):
    """Two towers of the drawings, which differ in their seeds."""
    folder = tmp_path_factory.mktemp("towers")
    encoders = EncoderConfig(*SMALL.values(), None, "words")
    for seed in (0, 1):
        config = AlignmentConfig(epochs=30, batch_size=16, weight_decay=0.1, dropout=0.0, seed=seed)
        align_photos(table.with_texts(captions(table)), encoders, config).save(folder / str(seed))
    return folder


@pytest.fixture(scope="module")
def run(table, towers, tmp_path_factory):
    """A run whose unknown labels are informed by a tower."""
    out = tmp_path_factory.mktemp("runs") / "a"
    blank = table.hide(part="train", known=0.3, seed=1)
    Tagger(table.classes, **SMALL).fit(blank, out=out, tower=str(towers / "0"))
    evidence = Tagger.load(out).texts
    assert evidence is not None and evidence.teacher.weights["zero_shot"] > 0, "the drawings are too hard"
    return out


def test_the_run_holds_the_tower_that_informs_its_unknown_labels(run, towers, tmp_path, capsys):
    tagger, tower = Tagger.load(run), loading.load(towers / "0")
    assert tagger.texts.tower == tower.digest == tagger.tower.digest
    assert "tower" in Run(run).report.read_text()
    moved = shutil.copytree(run, tmp_path / "moved")
    assert (
        main(["fill", str(moved), "--out", str(tmp_path / "f.csv"), "--explain", str(tmp_path / "e.csv")])
        == 0
    )
    blank = tagger.out_of_fold.table
    beside = tagger.beside(blank)
    assert beside.text is None
    means = means_for(tower, blank, PhotoReading(Where(False)))
    torch.testing.assert_close(
        beside.zero_shot, tower.scale * tower.similarity(means, blank.classes), atol=1e-3, rtol=1e-3
    )
    saved = Tagger.load(tagger.save(tmp_path / "again"))
    assert saved.tower.digest == tower.digest


def test_a_missing_or_other_tower_is_refused_with_the_fix(run, towers, tmp_path, capsys):
    moved = shutil.copytree(run, tmp_path / "moved")
    shutil.rmtree(moved / "tower")
    typed = ["fill", str(moved), "--out", str(tmp_path / "f.csv")]
    assert main(typed) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "a tower informs the unknown labels of" in said and "its run folder holds none" in said
    assert "by --tower, or train again" in said
    assert main([*typed, "--tower", str(towers / "1")]) == 2
    assert "another one than that of the training" in " ".join(capsys.readouterr().err.split())
    assert main([*typed, "--tower", str(towers / "0")]) == 0
    assert main([*typed, "--tower", str(tmp_path)]) == 2
    assert "holds no tower" in capsys.readouterr().err


def test_a_tower_of_another_image_size_and_other_weights_encodes_the_photos_itself(table, towers, tmp_path):
    other = SMALL | {"image_size": 48}
    blank = table.hide(part="train", known=0.3, seed=1)
    Tagger(table.classes, **other).fit(blank, out=tmp_path / "a", tower=str(towers / "0"), seed=3)
    tagger = Tagger.load(tmp_path / "a")
    assert "zero_shot" in tagger.texts.teacher.weights
    tower = loading.load(towers / "0")
    train = tagger.out_of_fold.table
    expected = tower.scale * tower.similarity(means_for(tower, train, PhotoReading()), train.classes)
    torch.testing.assert_close(tagger.beside(train).zero_shot, expected)


def test_a_review_uses_the_tower_and_leaves_unreadable_photos_out(run, table, tmp_path):
    pytest.importorskip("fastapi")
    from partlabel.review.build import build_app

    copied = shutil.copytree(run, tmp_path / "run")
    photos = shutil.copytree(table.root, tmp_path / "photos")
    (photos / table.images[3]).write_bytes(b"no photo")
    given = LabelTable(table.images, table.classes, np.full_like(table.labels, UNKNOWN), root=photos)
    _, session = build_app(Run(copied), given, port=0)
    tagger = Tagger.load(copied)
    assert np.isnan(session.logits[3]).all()
    rows = [row for row in range(len(table)) if row != 3]
    expected = tagger.texts.logits(session.looked.logits[rows], tagger.beside(given[rows]))
    np.testing.assert_allclose(session.logits[rows], expected, atol=1e-4)
    session.decisions.close()


def test_predict_by_names_writes_a_probability_per_class(table, towers, tmp_path, capsys):
    tower, out = str(towers / "0"), tmp_path / "p.csv"
    typed = ["predict", str(table.root), "--tower", tower, "--out", str(out)]
    assert main([*typed, "--classes", "red thing, traffic_light"]) == 0
    assert "2 probabilities for each of 32 photos" in capsys.readouterr().out
    found = pl.read_csv(out)
    assert found.columns == ["image", "red thing", "traffic_light"] and len(found) == 32
    expected = predict_names(tower, table, ["red thing", "traffic_light"])[1]
    np.testing.assert_allclose(found.drop("image").to_numpy(), expected, atol=1e-5)
    assert 0 < expected.min() < expected.max() < 1
    assert main(typed) == 2
    assert 'such as --classes "dog, cat"' in " ".join(capsys.readouterr().err.split())
    assert main(["predict", str(table.root), str(table.root), *typed[2:], "--classes", "a, b"]) == 2
    assert "predicts without a run" in " ".join(capsys.readouterr().err.split())
    assert main([*typed, "--classes", "a, b", "--decide"]) == 2
    assert main(["predict", str(table.root)]) == 2
    assert "give a run and photos" in " ".join(capsys.readouterr().err.split())


def test_names_rank_the_drawings_they_describe(table, towers):
    _, found = predict_names(towers / "0", table, table.classes)
    truth = table.labels == 1
    above = [
        found[truth[:, c], c].mean() > found[table.labels[:, c] == 0, c].mean() for c in range(truth.shape[1])
    ]
    assert np.mean(above) > 0.7


def test_photos_that_cannot_be_read_are_left_out_on_request(table, towers, tmp_path, capsys):
    photos = shutil.copytree(table.root, tmp_path / "photos")
    (photos / table.images[0]).write_bytes(b"no photo")
    typed = ["predict", str(photos), "--tower", str(towers / "0"), "--classes", "red, blue"]
    assert main([*typed, "--out", str(tmp_path / "p.csv")]) == 2
    assert table.images[0] in capsys.readouterr().err
    assert main([*typed, "--out", str(tmp_path / "p.csv"), "--skip-broken"]) == 0
    assert len(pl.read_csv(tmp_path / "p.csv")) == 31


def test_start_with_a_tower_writes_probabilities_without_texts(table, towers, tmp_path, capsys):
    typed = ["start", str(table.root), "--classes", "red, blue", "--tower", str(towers / "0")]
    model = ["--backbone", "test_resnet", "--pretrained", "false", "--image-size", "32"]
    run, out = tmp_path / "run", tmp_path / "s.csv"
    assert main([*typed, *model, "--run", str(run), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "compares the photos with the names of the classes" in said and "probably present" in said
    assert "mention" not in said
    assert Tagger.load(run).texts.teacher.weights == {"recogniser": 1.0, "zero_shot": 1.0}
    assert len(pl.read_csv(out)) == 32
