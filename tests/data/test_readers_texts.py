"""Texts of photos in formats of other programs."""

import json
from io import BytesIO
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from partlabel.data import writers
from partlabel.data.tables.label_table import LabelTable

pytestmark = pytest.mark.filterwarnings("ignore:.*never present", "ignore:.*merged")


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_label_studio_has_texts_in_tasks_and_in_text_areas(tmp_path: Path) -> None:
    chosen = {"from_name": "c", "type": "choices", "value": {"choices": ["cat"]}}
    said = {"from_name": "t", "type": "textarea", "value": {"text": ["on a mat"]}}
    tasks = [
        {
            "data": {"image": "a.jpg", "caption": "a cat", "title": 7},
            "annotations": [
                {"result": [chosen, said]},
                {"result": [{**said, "value": {"text": ["skipped"]}}], "was_cancelled": True},
            ],
        },
        {"data": {"image": "b.jpg"}, "annotations": []},
    ]
    table = LabelTable.read(written(tmp_path / "l.json", tasks), absent="unknown")
    assert (table.classes, table.texts) == (("cat",), (("a cat", "on a mat"), ()))


def test_label_studio_csv_has_texts(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(
        'image,text,annotation_id,annotator,lead_time,choice\na.jpg,a cat,1,1,2.5,"{""choices"":[""cat"",""x""]}"\n'
    )
    table = LabelTable.read(tmp_path / "l.csv", absent="unknown")
    assert (table.classes, table.texts) == (("cat", "x"), (("a cat",),))


def test_fiftyone_has_fields_of_texts(tmp_path: Path) -> None:
    labels = {"_cls": "Classifications", "classifications": [{"_cls": "Classification", "label": "cat"}]}
    samples = [
        {"filepath": "a.jpg", "ground_truth": labels, "caption": "a cat", "alt_text": ["tom", None]},
        {"filepath": "b.jpg", "ground_truth": None, "caption": None},
    ]
    table = LabelTable.read(written(tmp_path / "f.json", {"samples": samples}), absent="unknown")
    assert table.texts == (("a cat", "tom"), ())


def test_a_dataset_of_the_hub_has_columns_of_texts(tmp_path: Path) -> None:
    held = BytesIO()
    Image.new("RGB", (8, 8)).save(held, "PNG")
    rows = {
        "image": [{"bytes": held.getvalue(), "path": None}] * 2,
        "labels": [["cat"], []],
        "captions": [["a cat", "tom"], None],
        "title": ["Tom", ""],
    }
    pq.write_table(pa.table(rows), tmp_path / "h.parquet")
    table = LabelTable.read(tmp_path / "h.parquet", absent="unknown", extract=tmp_path / "out")
    assert (table.classes, table.texts) == (("cat",), (("a cat", "tom", "Tom"), ()))


def test_a_dataset_of_the_hub_with_a_column_per_class_has_columns_of_texts(tmp_path: Path) -> None:
    rows = {"image": ["a.jpg", "b.jpg"], "cat": [1, 0], "title": [0, 1], "caption": ["a cat", None]}
    pq.write_table(pa.table(rows), tmp_path / "h.parquet")
    table = LabelTable.read(tmp_path / "h.parquet", format="hugging_face")
    assert (table.classes, table.texts) == (("cat", "title"), (("a cat",), ()))


def test_coco_has_captions_among_its_annotations(tmp_path: Path) -> None:
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "caption": "one"}, {"id": 2, "file_name": "b.jpg"}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [
            {"image_id": 1, "category_id": 3, "caption": "two"},
            {"image_id": 1, "caption": "three"},
            {"image_id": 5, "caption": "lost"},
        ],
    }
    table = LabelTable.read(written(tmp_path / "c.json", content), absent="negative")
    assert table.labels.tolist() == [[1], [0]]
    assert table.texts == (("one", "two", "three"), ())


@pytest.mark.parametrize("form", ["lists", "keys"])
def test_json_objects_have_texts(tmp_path: Path, form: str) -> None:
    labels = {"present": ["cat"], "absent": ["title"]} if form == "lists" else {"cat": 1, "title": 0}
    objects = [
        {"image": "a.jpg", "caption": "a cat", **labels},
        {"image": "b.jpg", "texts": ["x1", "two"], **labels},
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, objects)))
    for path in (tmp_path / "t.jsonl", written(tmp_path / "t.json", objects)):
        table = LabelTable.read(path)
        assert (table.classes, table.texts) == (("cat", "title"), (("a cat",), ("x1", "two")))


@pytest.mark.parametrize(
    ("name", "writer"), [("t.jsonl", None), ("f.json", "fiftyone"), ("l.json", "label_studio")]
)
def test_texts_that_were_written_on_request_are_read_back(
    tmp_path: Path, name: str, writer: writers.Writer
) -> None:
    (tmp_path / "t.csv").write_text('image,cat,dog,text\na.jpg,1,0,"a cat\nat home"\nb.jpg,0,1,\n')
    path = writers.write(LabelTable.read(tmp_path / "t.csv"), tmp_path / name, writer, with_texts=True)
    options = {"predictions": True, "absent_control": "absent"} if writer == "label_studio" else {}
    assert LabelTable.read(path, **options).texts == (("a cat", "at home"), ())
