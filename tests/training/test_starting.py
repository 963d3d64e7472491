"""The start of a project without any label: class names, probabilities from texts, and photos to label first."""

import csv

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import average_precision_score

from drawings import COLOURS, draw_photos
from partlabel.cli.main import main
from partlabel.data.tables.filled import FilledTable
from partlabel.data.tables.label_table import LabelTable
from partlabel.training.starting import class_names, farthest_first, review_order

SMALL = ["--backbone", "test_resnet", "--pretrained", "false", "--image-size", "64", "--embedder", "words"]
PHOTOS = 40


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Photos, and captions that name the true classes of every second one."""
    labels = draw_photos(tmp_path / "photos", PHOTOS, seed=5)
    with open(tmp_path / "captions.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "caption"])
        for row in range(0, PHOTOS, 2):
            names = [name for name, there in zip(COLOURS, labels[row], strict=True) if there]
            writer.writerow([f"{row:02}.png", f"squares of {' and '.join(names) or 'nothing'}"])
    monkeypatch.chdir(tmp_path)
    return labels


@pytest.mark.filterwarnings("ignore:.*have no text there")
def test_with_texts_all_photos_have_probabilities_and_the_least_certain_come_first(photos, capsys):
    typed = ["start", "photos", "--classes", "red, green,blue, yellow, violet", "--texts", "captions.csv"]
    assert main([*typed, *SMALL]) == 0
    said = capsys.readouterr().out
    assert "20 of 40 training photos have text, and" in said
    assert "no text mentions violet" in said
    assert said.rstrip().endswith("next: partlabel review runs/start")
    found = FilledTable.load("start.csv")
    assert not found.table.known
    p = found.probability
    assert np.isfinite(p).all()
    rows = np.array([int(image.split(".")[0]) for image in found.table.images])
    told = rows % 2 == 0
    truth = photos[rows]
    assert average_precision_score(truth[told].ravel(), p[told, :4].ravel()) > 0.95
    assert average_precision_score(truth.ravel(), p[:, :4].ravel()) > truth.mean() + 0.2
    doubt = np.minimum(p, 1 - p).sum(1)
    assert (np.diff(doubt) <= 1e-5).all()
    for name, number in zip(found.table.classes, (p >= 0.5).sum(0), strict=True):
        assert f"{name} {number}" in said
    assert main([*typed, *SMALL]) == 2
    assert "runs/start holds a run already: name another folder with --run" in capsys.readouterr().err


def test_without_texts_a_blank_table_proposes_photos(photos, capsys):
    assert main(["start", "photos", "--classes", "red, green", "--propose", "7", *SMALL]) == 0
    said = capsys.readouterr().out
    assert "start.csv: 7 of 40 photos" in said
    assert "--texts captions.csv" in said
    assert "next: partlabel train start.csv --images photos" in said
    table = LabelTable.read("start.csv", images="photos")
    assert (len(table), table.classes, table.known) == (7, ("red", "green"), 0)
    assert pl.read_csv("start.csv").columns == ["image", "red", "green"]


def test_a_sample_of_three_separated_groups_has_one_of_each():
    random = torch.Generator().manual_seed(0)
    group = torch.arange(60) % 3
    features = 10 * torch.eye(3)[group] + 0.1 * torch.randn(60, 3, generator=random)
    assert sorted(group[farthest_first(features, 3)].tolist()) == [0, 1, 2]


def test_a_sample_names_each_image_once():
    same = torch.ones(5, 2)
    assert sorted(farthest_first(same, 9).tolist()) == [0, 1, 2, 3, 4]


def test_photos_are_sorted_by_doubt_or_by_present_classes():
    p = np.array([[0.9, 0.9], [0.5, 0.4], [0.01, 0.8]])
    assert review_order(p).tolist() == [1, 2, 0]
    assert review_order(p, "present").tolist() == [0, 2, 1]


def test_class_names_are_a_list_or_a_file(tmp_path):
    (tmp_path / "names.txt").write_text("dog\n\n cat \n")
    assert class_names(str(tmp_path / "names.txt")) == ("dog", "cat")
    (tmp_path / "names.txt").write_text("dog\r\ncafé\r\n", encoding="utf-16")
    assert class_names(str(tmp_path / "names.txt")) == ("dog", "café")
    assert class_names("dog, traffic light,") == ("dog", "traffic light")


def test_a_file_of_class_names_in_another_encoding_is_named(tmp_path):
    (tmp_path / "names.txt").write_text("café\n", encoding="latin-1")
    with pytest.raises(ValueError, match=r"names\.txt: not UTF-8 at byte 3; save the file as UTF-8"):
        class_names(str(tmp_path / "names.txt"))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("dog, cat, dog", ValueError, "--classes names classes more than once: 'dog'; name each class once"),
        (" , ", ValueError, "--classes names no class: give a list such as"),
        (
            "dog, image",
            ValueError,
            "--classes: class 1 of 2, 'image', is the name of a column that is reserved",
        ),
        ("names.txt", FileNotFoundError, "there is no file of class names names.txt"),
    ],
)
def test_class_names_that_cannot_be_classes_are_refused(given, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        class_names(given)


def test_a_folder_without_photos_is_an_error(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["start", str(tmp_path / "empty"), "--classes", "dog"]) == 2
    assert "empty" in capsys.readouterr().err
