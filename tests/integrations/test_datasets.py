"""Hugging Face's `datasets` reads what we write, and we read what it writes, cell by cell.

`make test-integrations` installs it in an environment of its own, and names its interpreter in `DATASETS_PYTHON`.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from interpreters import interpreter
from partlabel.cli.main import main
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data import writers
from partlabel.data.tables.filled import fill
from partlabel.data.tables.label_table import LabelTable

PYTHON = interpreter("DATASETS_PYTHON", "Hugging Face's datasets")

pytestmark = pytest.mark.slow
PROGRAM = Path(__file__).with_name("datasets_program.py")
CLASSES = ("dog", "traffic light", "7")
IMAGES = ("a.png", "b c.png", "sub/d.png")
LABELS = np.array(
    [[PRESENT, ABSENT, UNKNOWN], [UNKNOWN, UNKNOWN, UNKNOWN], [ABSENT, PRESENT, PRESENT]], np.int8
)
ITEMS = (("a", "train", (0, 2)), ("b", "test", (1,)), ("c", "train", ()), ("d", "train", (0, 1, 2)))


def program(folder, *words):
    """Run the program offline; return what it prints."""
    own = os.environ | {"HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"}
    typed = [PYTHON, str(PROGRAM), *map(str, words)]
    done = subprocess.run(typed, capture_output=True, text=True, cwd=folder, env=own)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def table(tmp_path):
    photos = tmp_path / "photos"
    for name in IMAGES:
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(photos / name)
    return LabelTable(IMAGES, CLASSES, LABELS, ("train", "val", "train"), photos)


def codes(row):
    """Return the labels of a row that has a column for each class, or lists of names."""
    if "present" in row:
        return [
            PRESENT if name in row["present"] else ABSENT if name in row["absent"] else UNKNOWN
            for name in CLASSES
        ]
    return [UNKNOWN if row[name] is None else int(row[name]) for name in CLASSES]


@pytest.mark.parametrize(("name", "file"), [("csv", "t.csv"), ("parquet", "t.parquet"), ("json", "t.jsonl")])
def test_it_reads_every_cell_of_a_table(table, tmp_path, name, file):
    writers.write(table, tmp_path / file)
    rows = json.loads(program(tmp_path, "read", name, tmp_path / file))
    assert [row["image"] for row in rows] == list(IMAGES)
    assert [row["split"] for row in rows] == list(table.split)
    assert [codes(row) for row in rows] == LABELS.tolist()


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_it_reads_the_labels_beside_the_photos(table, tmp_path, suffix):
    labels = table.save(tmp_path / "labels.csv")
    out = table.root / f"metadata{suffix}"
    assert main(["import", str(labels), "--images", str(table.root), "--out", str(out)]) == 0
    rows = json.loads(program(tmp_path, "read", "imagefolder", table.root))
    found = {Path(row["image"]).relative_to(table.root).as_posix(): codes(row) for row in rows}
    assert found == dict(zip(IMAGES, LABELS.tolist(), strict=True))


def test_it_reads_a_filled_table_beside_the_photos(table, tmp_path):
    filled = fill(table, np.full(LABELS.shape, 0.75), 0.7, None, "bce@a")
    writers.write(filled, table.root / "metadata.csv")
    rows = json.loads(program(tmp_path, "read", "imagefolder", table.root))
    found = {Path(row["image"]).name: row for row in rows}
    assert codes(found["b c.png"]) == [PRESENT] * 3
    assert found["b c.png"]["dog:p"] == 0.75 and found["b c.png"]["dog:source"] == "bce@a"
    assert codes(found["d.png"]) == [ABSENT, PRESENT, PRESENT]


@pytest.mark.parametrize("coding", ["ids", "names", "columns"])
def test_every_cell_of_its_parquet_files_is_read(tmp_path, coding):
    (tmp_path / "dataset.json").write_text(json.dumps({"classes": CLASSES, "items": ITEMS}))
    program(tmp_path, "write", tmp_path / "dataset.json", tmp_path / "hub")
    typed = [
        "import",
        tmp_path / "hub" / coding,
        "--format",
        "hugging_face",
        "--out",
        tmp_path / "labels.csv",
    ]
    typed += [
        "--format.extract",
        tmp_path / "photos",
        *(["--absent", "negative"] if coding != "columns" else []),
    ]
    assert main([str(word) for word in typed]) == 0
    table = LabelTable.read(tmp_path / "labels.csv", tmp_path / "photos")
    order = [table.classes.index(name) for name in CLASSES]
    for part in ("train", "test"):
        expected = [[int(k in numbers) for k in range(3)] for _, of, numbers in ITEMS if of == part]
        assert table.part(part).labels[:, order].tolist() == expected
