"""Tables for other programs: what is written, and that the readers read the same back."""

import json

import numpy as np
import pytest

from partlabel import LabelTable
from partlabel.data import writers

TABLE = LabelTable(
    ("a.jpg", "in/b c.jpg", "d.jpg"),
    ("dog", "traffic <light>"),
    np.array([[1, 0], [-1, 1], [0, -1]], np.int8),
    ("train", "train", "val"),
)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
@pytest.mark.filterwarnings("ignore:.*never present")
def test_what_is_written_is_read_back(tmp_path, name):
    table = LabelTable.read(writers.write(TABLE, tmp_path / name))
    assert (table.images, table.classes, table.split) == (TABLE.images, TABLE.classes, TABLE.split)
    assert np.array_equal(table.labels, TABLE.labels)


def test_fiftyone_gets_the_fields_of_its_open_images(tmp_path):
    path = writers.write(TABLE, tmp_path / "t.json", "fiftyone")
    first = json.loads(path.read_text())["samples"][0]
    assert first == {
        "filepath": "a.jpg",
        "tags": ["train"],
        "positive_labels": {
            "_cls": "Classifications",
            "classifications": [{"_cls": "Classification", "label": "dog"}],
        },
        "negative_labels": {
            "_cls": "Classifications",
            "classifications": [{"_cls": "Classification", "label": "traffic <light>"}],
        },
    }
    table = LabelTable.read(path)
    assert np.array_equal(table.labels, TABLE.labels) and table.split == TABLE.split


def test_label_studio_gets_tasks_with_predictions_for_two_controls(tmp_path):
    tasks = json.loads(writers.write(TABLE, tmp_path / "t.json", "label_studio").read_text())
    assert tasks[1] == {
        "data": {"image": "/data/local-files/?d=in/b%20c.jpg"},
        "predictions": [
            {
                "model_version": "partlabel",
                "result": [
                    {
                        "from_name": "classes",
                        "to_name": "image",
                        "type": "choices",
                        "value": {"choices": ["traffic <light>"]},
                    }
                ],
            }
        ],
    }
    assert '<Choice value="traffic &lt;light&gt;"/>' in writers.label_studio_config(TABLE.classes)


def test_predictions_that_were_submitted_as_they_are_come_back_the_same(tmp_path):
    tasks = writers.label_studio(TABLE)
    for task in tasks:
        task["annotations"] = [{"result": task["predictions"][0]["result"], "was_cancelled": False}]
    (tmp_path / "t.json").write_text(json.dumps(tasks))
    table = LabelTable.read(tmp_path / "t.json", absent_control="absent")
    assert table.images == TABLE.images and np.array_equal(table.labels, TABLE.labels)


@pytest.mark.parametrize(
    ("name", "writer", "said"),
    [
        (
            "t.json",
            None,
            r"what format is 't.json' to be in\? .* say it with --to: csv, parquet, jsonl, label_studio",
        ),
        ("t.csv", "fiftyone", r"'t.csv' is to be in the format fiftyone: end the name in .json"),
        ("t.json", "parquet", r"end the name in .parquet"),
    ],
)
def test_a_name_that_does_not_fit_its_format_is_refused(tmp_path, name, writer, said):
    with pytest.raises(ValueError, match=said):
        writers.write(TABLE, tmp_path / name, writer)
