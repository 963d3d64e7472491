"""Datumaro writes a data set in its formats, those of CVAT, COCO, YOLO, Open Images and LabelMe, and we read each.

`make test-integrations` installs Datumaro in an environment of its own, and names its interpreter in `DATUMARO_PYTHON`.
"""

import json
import subprocess
from pathlib import Path

import pytest

from interpreters import interpreter
from partlabel.cli.main import main
from partlabel.data.tables.label_table import LabelTable

PYTHON = interpreter("DATUMARO_PYTHON", "Datumaro")

pytestmark = pytest.mark.slow
PROGRAM = Path(__file__).with_name("datumaro_program.py")
CLASSES = ("dog", "traffic light", "7")
ITEMS = (("a", "train", (0, 2)), ("b c", "val", ()), ("d", "test", (1,)), ("e", "train", (0, 1, 2)))
TRAIN = ("a", "e")
READ = {
    "datumaro": ("datumaro", "datumaro", None),
    "cvat": ("cvat/train.xml", "cvat", TRAIN),
    "coco_instances": ("coco_instances/annotations/instances_train.json", "coco", TRAIN),
    "yolo": ("yolo", "yolo", None),
    "yolo_ultralytics": ("yolo_ultralytics", "yolo", None),
    "open_images": (
        "open_images/annotations/train-annotations-human-imagelabels.csv",
        "open_images",
        TRAIN,
    ),
    "label_me": ("label_me", "voc_flat", None),
}
"""By Datumaro's name of a format: what is imported, the reader that recognises it, and the images in it."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The folder with an export for each format."""
    folder = tmp_path_factory.mktemp("datumaro")
    (folder / "dataset.json").write_text(json.dumps({"classes": CLASSES, "items": ITEMS}))
    words = [PYTHON, PROGRAM, folder / "dataset.json", folder, *READ]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.parametrize("name", READ)
def test_every_cell_of_its_export_is_read(exported, tmp_path, capsys, name):
    place, reader, images = READ[name]
    typed = ["import", exported / place, "--absent", "negative", "--out", tmp_path / "labels.csv"]
    assert main([str(word) for word in typed]) == 0
    assert f"read as {reader}:" in capsys.readouterr().out
    table = LabelTable.read(tmp_path / "labels.csv")
    expected = {
        f"{item}.jpg": {CLASSES[number] for number in numbers}
        for item, _, numbers in ITEMS
        if images is None or item in images
    }
    found = {
        Path(image).name: {name for name, label in zip(table.classes, row, strict=True) if label == 1}
        for image, row in zip(table.images, table.labels.tolist(), strict=True)
    }
    assert sorted(table.classes) == sorted(CLASSES) and (table.labels >= 0).all()
    assert found == expected


@pytest.mark.parametrize("name", ["datumaro", "yolo_ultralytics", "label_me"])
def test_parts_are_those_of_its_folders(exported, tmp_path, name):
    typed = ["import", exported / READ[name][0], "--absent", "negative", "--out", tmp_path / "labels.csv"]
    assert main([str(word) for word in typed]) == 0
    table = LabelTable.read(tmp_path / "labels.csv")
    parts = {Path(image).stem: part for image, part in zip(table.images, table.split, strict=True)}
    assert parts == {name: part for name, part, _ in ITEMS}
