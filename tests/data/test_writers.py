"""Tables for other programs: what is written, and that the readers read the same back."""

import json

import numpy as np
import pytest

from partlabel import LabelTable
from partlabel.cli.main import main
from partlabel.data import writers
from partlabel.data.tables.filled import FilledTable, fill
from partlabel.data.tables.provenance import Origins

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
            r"'t.json' has no known format: .* give the format with --to: csv, parquet, jsonl, label_studio",
        ),
        ("t.csv", "fiftyone", r"'t.csv' is written in the format fiftyone: end the name in .json"),
        ("t.json", "parquet", r"end the name in .parquet"),
    ],
)
def test_a_name_that_does_not_fit_its_format_is_refused(tmp_path, name, writer, said):
    with pytest.raises(ValueError, match=said):
        writers.write(TABLE, tmp_path / name, writer)


PROBABILITY = np.array([[0.5, 0.5], [0.98, 0.5], [0.5, 0.03]])
FILLED = fill(TABLE, PROBABILITY, accept=0.9, reject=0.1, model="sst@a")
"""The second image shows a dog and the third no light, says the model; all else people said."""


def test_label_studio_gets_what_a_model_says_with_how_sure_it_is(tmp_path):
    tasks = json.loads(writers.write(FILLED, tmp_path / "t.json", "label_studio").read_text())
    first, second, third = (task["predictions"][0] for task in tasks)
    assert "score" not in first, "people said all of it"
    assert second["model_version"] == "sst@a" and second["score"] == 0.98
    said = {each["from_name"]: (each["value"]["choices"], each.get("score")) for each in second["result"]}
    assert said == {"classes": (["dog", "traffic <light>"], 0.98)}
    assert third["result"][0]["score"] == third["score"] == 0.97, "sure that it is absent"
    again = FilledTable.load(FILLED.save(tmp_path / "t.csv"))
    assert writers.label_studio(again) == tasks


def test_a_prediction_is_as_sure_as_the_blanks_are_on_average():
    blank = TABLE.with_labels(np.full((3, 2), -1, np.int8))
    task = writers.label_studio(fill(blank, np.array([[0.9, 0.3], [1, 1], [1, 1]]), accept=0.9))[0]
    assert task["predictions"][0]["score"] == pytest.approx((0.9 + 0.7) / 2)
    assert task["predictions"][0]["result"][0]["value"] == {"choices": ["dog"]}


def test_fiftyone_gets_confidences_of_the_model_and_none_of_people(tmp_path):
    samples = writers.fiftyone(FILLED)["samples"]
    assert samples[1]["positive_labels"]["classifications"] == [
        {"_cls": "Classification", "label": "dog", "confidence": 0.98, "tags": ["sst@a"]},
        {"_cls": "Classification", "label": "traffic <light>"},
    ]
    assert samples[2]["negative_labels"]["classifications"][1]["confidence"] == pytest.approx(0.97)


def test_fiftyone_gets_the_origin_of_what_people_did_not_say_though_nobody_kept_how_sure():
    codes = np.array([[1, 2], [0, 3], [4, 0]], np.uint8)
    names = ("", "human", "sst@a", "review:Ada", "open_images:machine")
    samples = writers.fiftyone(TABLE.with_origins(Origins(codes, names)))["samples"]

    def tags(row, field):
        return [each.get("tags") for each in samples[row][field]["classifications"]]

    assert tags(0, "positive_labels") == [None] and tags(0, "negative_labels") == [["sst@a"]]
    assert tags(1, "positive_labels") == [None], "decided in a review"
    assert tags(2, "negative_labels") == [["open_images:machine"]]
    assert "confidence" not in samples[0]["negative_labels"]["classifications"][0]


@pytest.mark.parametrize("format", ["label_studio", "fiftyone", "jsonl", "csv", "parquet"])
@pytest.mark.filterwarnings("ignore:.*never present")
def test_a_filled_table_is_read_back_with_all_that_is_known(tmp_path, format):
    name = {"label_studio": "t.json", "fiftyone": "t.json"}.get(format, f"t.{format}")
    options = {"absent_control": "absent", "predictions": True} if format == "label_studio" else {}
    path = writers.write(FILLED, tmp_path / name, format)
    table = LabelTable.read(path, **options)
    assert table.images == TABLE.images and table.classes == TABLE.classes
    np.testing.assert_array_equal(table.labels, FILLED.table.labels)
    if format != "label_studio":
        assert table.split == TABLE.split


def test_fiftyones_confidences_can_be_left_out_again_and_people_stay(tmp_path):
    path = writers.write(FILLED, tmp_path / "t.json", "fiftyone")
    np.testing.assert_array_equal(LabelTable.read(path, confidence=0.99).labels, TABLE.labels)


@pytest.mark.filterwarnings("ignore:.*never present")
def test_only_predictions_of_tasks_that_nobody_annotated_are_read(tmp_path):
    tasks = writers.label_studio(FILLED)
    tasks[1]["annotations"] = [{"result": tasks[0]["predictions"][0]["result"], "was_cancelled": False}]
    tasks[2] |= {"annotations": [{"result": [], "was_cancelled": True}]}
    (tmp_path / "t.json").write_text(json.dumps(tasks))
    how = {"absent": "negative", "control": "classes", "predictions": True, "classes": list(TABLE.classes)}
    table = LabelTable.read(tmp_path / "t.json", **how)
    assert table.labels.tolist() == [[1, -1], [1, 0], [-1, -1]], "predicted, submitted, skipped"


@pytest.mark.filterwarnings("ignore:.*never present")
def test_import_keeps_the_probabilities_of_a_filled_table(tmp_path):
    source = FILLED.save(tmp_path / "filled.csv")
    typed = ["import", str(source), "--out", str(tmp_path / "t.json"), "--to", "label_studio"]
    assert main(typed) == 0
    assert json.loads((tmp_path / "t.json").read_text()) == writers.label_studio(FilledTable.load(source))
    assert main(["import", str(source), "--out", str(tmp_path / "t.parquet")]) == 0
    again = FilledTable.load(tmp_path / "t.parquet")
    np.testing.assert_array_equal(again.probability, FILLED.probability)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl"])
@pytest.mark.parametrize("kind", ["labels", "filled"])
def test_metadata_names_the_photos_of_its_folder(tmp_path, suffix, kind):
    """As Hugging Face's `imagefolder` reads it: `file_name`, the path from the folder of the file."""
    folder = tmp_path / "photos"
    labels = np.array([[1, 0], [-1, -1]], np.int8)
    table = LabelTable(("a.jpg", "x/b.jpg"), ("dog", "cat"), labels, root=folder / "sub")
    given = table if kind == "labels" else fill(table, np.full((2, 2), 0.4), None, None, "bce@a")
    (folder / "sub" / "x").mkdir(parents=True)
    for image in table.images:
        (folder / "sub" / image).write_bytes(b"")
    written = writers.write(given, folder / f"metadata{suffix}")
    if suffix == ".jsonl":
        lines = [json.loads(line) for line in written.read_text().splitlines()]
        assert [line["file_name"] for line in lines] == ["sub/a.jpg", "sub/x/b.jpg"]
        assert all("image" not in line for line in lines)
    options = {"absent": "unknown"} if suffix == ".jsonl" and kind == "labels" else {}
    again = LabelTable.read(written, folder, **options)
    assert again.images == ("sub/a.jpg", "sub/x/b.jpg")
    assert again.labels[:, [again.classes.index(name) for name in table.classes]].tolist() == labels.tolist()


def test_metadata_elsewhere_is_refused_with_the_place(tmp_path):
    (tmp_path / "photos").mkdir()
    table = LabelTable(("a.jpg",), ("dog",), np.array([[1]], np.int8), root=tmp_path / "photos")
    for folder in (tmp_path / "other", tmp_path / "photos" / "sub"):
        folder.mkdir()
        with pytest.raises(ValueError, match=f"write {tmp_path}/photos/metadata.csv, or choose another name"):
            writers.write(table, folder / "metadata.csv")
        assert not (folder / "metadata.csv").exists()
    without = LabelTable(("a.jpg",), ("dog",), np.array([[1]], np.int8))
    assert writers.write(without, tmp_path / "metadata.csv").read_text().splitlines() == [
        "file_name,dog",
        "a.jpg,1",
    ]
