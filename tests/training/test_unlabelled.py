"""Training on a table of which only texts are known: drawings of squares, every second one with a caption."""

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from drawings import COLOURS, draw_photos
from partlabel import Tagger
from partlabel.cli.main import main
from partlabel.core.labels import UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.training.run_folder import Run

SMALL = {"backbone": "test_resnet", "pretrained": False, "image_size": 64}
PHOTOS, TRAINED = 60, 48


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unlabelled")
    labels = draw_photos(folder / "photos", PHOTOS, seed=3)
    images = tuple(f"{row:02}.png" for row in range(PHOTOS))
    split = ("train",) * TRAINED + ("test",) * (PHOTOS - TRAINED)
    return LabelTable(images, tuple(COLOURS), labels, split, folder / "photos")


def captioned(table, sentence="squares of {}", every=2):
    """Give every second photo a caption that names its classes."""
    named = [
        [name for name, is_there in zip(table.classes, row, strict=True) if is_there] for row in table.labels
    ]
    said = [[sentence.format(" and ".join(names))] if names else [] for names in named]
    return table.with_texts([texts if row % every == 0 else [] for row, texts in enumerate(said)])


def blank(table, rows=slice(None)):
    """Hide the labels of some rows."""
    labels = table.labels.copy()
    labels[rows] = UNKNOWN
    return table.with_labels(labels)


@pytest.fixture(scope="module")
def trained(truth, tmp_path_factory):
    """A run whose table has labels in the part `test` alone."""
    table = blank(captioned(truth), slice(TRAINED))
    out = tmp_path_factory.mktemp("runs") / "a"
    return Tagger(table.classes, **SMALL).fit(table, out=out, embedder="words"), Run(out), table


def test_the_settings_are_those_of_evidence_and_only_test_is_measured(trained):
    tagger, run, _ = trained
    assert tagger.settings["method"] == "evidence"
    selection = json.loads(run.selection.read_text())
    assert selection["known"] == 0
    assert min(each["cost"] for each in selection["winner"]["tried"]) == selection["winner"]["cost"]
    assert [each["kind"] for each in json.loads(run.headlines.read_text())] == ["test"]
    assert not run.validation.exists()
    assert run.report.exists()


def test_filling_puts_what_texts_mention_first(trained, truth):
    tagger, _, table = trained
    found = tagger.fill(blank(table)).probability
    told = np.array([bool(texts) for texts in table.texts])
    named = truth.labels[told] == 1
    assert found[told][named].min() > np.median(found[told][~named])
    assert average_precision_score(named.ravel(), found[told].ravel()) > 0.95
    assert np.isfinite(found).all()


def test_a_photo_without_text_is_filled_by_the_image_alone(trained):
    tagger, _, table = trained
    silent = np.array([not texts for texts in table.texts])
    with_texts = tagger.fill(blank(table)).probability[silent]
    without = tagger.fill(blank(table).with_texts([[]] * PHOTOS)).probability[silent]
    np.testing.assert_allclose(with_texts, without, atol=1e-6)


def test_a_saved_run_fills_as_before(trained):
    tagger, run, table = trained
    again = Tagger.load(run.folder)
    np.testing.assert_allclose(
        again.fill(blank(table)).probability, tagger.fill(blank(table)).probability, atol=1e-6
    )


def test_commands_after_training_say_what_is_missing(trained, capsys, tmp_path):
    _, run, _ = trained
    assert main(["tune", str(run.folder)]) == 2
    assert "no label is known, so there is nothing to tune" in capsys.readouterr().err
    assert main(["fill", str(run.folder), "--out", str(tmp_path / "filled.csv")]) == 0
    assert "Probabilities come from what texts mention, without any label" in capsys.readouterr().out


def test_train_says_how_many_photos_have_text(truth, capsys, tmp_path):
    blank(captioned(truth)).with_split(None).save(tmp_path / "table.csv")
    typed = ["train", tmp_path / "table.csv", "--images", truth.root, "--out", tmp_path / "run"]
    more = ["--backbone", "test_resnet", "--pretrained", "false", "--image-size", "64", "--embedder", "words"]
    assert main([*map(str, typed), *more]) == 0
    photos = sum(map(bool, captioned(truth).texts))
    said = f"{photos} of {PHOTOS} training photos have text, and {photos} of these mention a class by name"
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("sentence", "options", "message"),
    [
        (
            None,
            {},
            r"no label of the 48 training images is known, and none has a text: .* texts='captions.csv'",
        ),
        (
            "xyz of qqq",
            {},
            r"none of \d+ photos with text has one that mentions or resembles the name of a class",
        ),
        ("squares of {}", {"method": "bce"}, r"the method bce learns from labels alone: leave out --method"),
        ("squares of {}", {"method": "evidence", "weight_decay": 0.1}, "is fitted by the full-batch solver"),
    ],
)
def test_where_nothing_informs_the_error_names_the_fix(truth, tmp_path, sentence, options, message):
    table = blank(truth if sentence is None else captioned(truth, sentence))
    more = {name: options[name] for name in options if name == "weight_decay"}
    with pytest.raises(ValueError, match=message):
        Tagger(table.classes, options.get("method", "auto"), **SMALL).fit(
            table, out=tmp_path / "run", embedder="words", **more
        )
