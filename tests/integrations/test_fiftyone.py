"""FiftyOne loads what we write with its own classes, and what it exports is read back: every cell, and its origin.

`make test-integrations` installs FiftyOne in an environment of its own, and names its interpreter in
`FIFTYONE_PYTHON`. Its database is mongomock, in memory, and a `mongod` where one is found.
"""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from interpreters import interpreter
from partlabel.cli.main import main
from partlabel.core.files import write_json
from partlabel.core.labels import ABSENT, PRESENT
from partlabel.data.evaluated_samples import evaluated
from partlabel.data.tables.filled import fill
from partlabel.data.tables.label_table import LabelTable

PYTHON = interpreter("FIFTYONE_PYTHON", "FiftyOne")

pytestmark = pytest.mark.slow
PROGRAM = Path(__file__).with_name("fiftyone_program.py")
MONGOD = shutil.which(os.environ.get("MONGOD", "mongod"))
CLASSES = ("dog", "traffic <light>", "7")
IMAGES = ("a.jpg", "deep/b c.jpg", "é#.jpg", "d.jpg")
TABLE = LabelTable(
    IMAGES,
    CLASSES,
    np.array([[1, 0, -1], [-1, -1, -1], [1, 1, 0], [-1, 0, 1]], np.int8),
    ("train", "val", "test", "train"),
    texts=(("a dog",), (), ("at night", "wet"), ()),
)
PROBABILITY = np.array([[0.9, 0.2, 0.97], [0.5, 0.01, 0.6], [0.3, 0.8, 0.1], [0.99, 0.7, 0.4]], np.float32)


@pytest.fixture(scope="module", params=["in memory", "mongod"])
def database(request, tmp_path_factory):
    """The environment in which FiftyOne runs: its database in memory, or a server on loopback."""
    environment = {**os.environ, "HOME": str(tmp_path_factory.mktemp("home"))}
    environment.pop("FIFTYONE_DATABASE_URI", None)
    if request.param == "in memory":
        yield environment
        return
    if MONGOD is None:
        pytest.skip("there is no mongod, which FiftyOne's own database is: the variable MONGOD names one")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    words = ["--dbpath", tmp_path_factory.mktemp("db"), "--port", port, "--bind_ip", "127.0.0.1"]
    server = subprocess.Popen([MONGOD, *map(str, words)], stdout=subprocess.DEVNULL)
    try:
        _wait(server, port)
        yield environment | {"FIFTYONE_DATABASE_URI": f"mongodb://127.0.0.1:{port}"}
    finally:
        server.terminate()
        server.wait(30)


def _wait(server, port):
    """Wait until the server accepts connections."""
    for _ in range(120):
        assert server.poll() is None, "mongod ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail("mongod does not answer after a minute")


@pytest.fixture(scope="module")
def trip(database, tmp_path_factory):
    """A folder with what FiftyOne made of our files: `labels`, `filled` and `evaluated`."""
    folder = tmp_path_factory.mktemp("fiftyone")
    ours, theirs = folder / "ours", folder / "theirs"
    for name in IMAGES:
        (folder / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "photos" / name).write_bytes(b"")
    ours.mkdir()
    theirs.mkdir()
    TABLE.save(ours / "labels.csv")
    filled().save(ours / "filled.csv")
    for name, extra in (("labels", ["--with-texts"]), ("filled", [])):
        typed = ["import", ours / f"{name}.csv", "--to", "fiftyone", "--out", ours / f"{name}.json", *extra]
        assert main([str(word) for word in typed]) == 0
    write_json(ours / "evaluated.json", evaluated(TABLE.with_texts(None), PROBABILITY, np.full(3, 0.5)))
    files = [ours / f"{name}.json" for name in ("labels", "filled", "evaluated")]
    words = [PYTHON, PROGRAM, folder / "photos", theirs, *files]
    done = subprocess.run(list(map(str, words)), env=database, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def filled():
    """The table with unknown labels filled where the model is sure."""
    return fill(TABLE.with_texts(None), PROBABILITY, accept=0.9, reject=0.05, model="bce@runs/a")


def held(trip, name):
    return json.loads((trip / "theirs" / f"{name}-held.json").read_text())


def names(table, row, code):
    return [CLASSES[column] for column in np.flatnonzero(table.labels[row] == code)]


@pytest.mark.parametrize("name", ["labels", "filled"])
def test_its_label_classes_hold_every_label(trip, name):
    table = TABLE if name == "labels" else filled().table
    for row, sample in enumerate(held(trip, name)):
        assert sample["filepath"] == str(trip / "photos" / IMAGES[row])
        assert sample["tags"] == [TABLE.split[row]]
        assert [each["label"] for each in sample["positive_labels"]] == names(table, row, PRESENT)
        assert [each["label"] for each in sample["negative_labels"]] == names(table, row, ABSENT)


def test_predicted_labels_have_confidence_and_model_and_human_ones_neither(trip):
    first = held(trip, "filled")[0]
    dog, seven = first["positive_labels"]
    assert (dog["confidence"], dog["tags"]) == (None, [])
    assert seven["confidence"] == pytest.approx(0.97) and seven["tags"] == ["bce@runs/a"]


def test_the_evaluation_is_in_its_fields(trip):
    counts = {"tp": 0, "fp": 0, "fn": 0, "tn": 0}
    for row, sample in enumerate(held(trip, "evaluated")):
        for field in ("positive_labels", "negative_labels"):
            for each in sample[field]:
                counts[each["eval"]] += 1
        known, yes = TABLE.labels[row], PROBABILITY[row] >= 0.5
        assert sample["eval_tp"] == int(((known == PRESENT) & yes).sum())
        assert sample["eval_fp"] == int(((known == ABSENT) & yes).sum())
        assert [each["label"] for each in sample["predictions"]] == [CLASSES[c] for c in np.flatnonzero(yes)]
    assert counts == {"tp": 2, "fp": 1, "fn": 2, "tn": 2}


@pytest.mark.parametrize("name", ["labels", "filled", "evaluated"])
@pytest.mark.parametrize("kind", ["write_json", "FiftyOneDataset"])
def test_what_it_exports_is_read_back(trip, tmp_path, name, kind):
    export = trip / "theirs" / (f"{name}.json" if kind == "write_json" else f"{name}/samples.json")
    typed = ["import", export, "--images", trip / "photos", "--out", tmp_path / "back.csv"]
    options = ["--format.field", "positive_labels", "--format.classes", json.dumps(CLASSES)]
    assert main([*map(str, typed), *options]) == 0
    back, expected = LabelTable.read(tmp_path / "back.csv"), filled().table if name == "filled" else TABLE
    assert (back.images, back.split) == (IMAGES, TABLE.split)
    assert back.labels.tolist() == expected.labels.tolist()
    if name == "labels":
        assert back.texts == TABLE.texts
