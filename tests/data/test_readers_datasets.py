"""Formats of Create ML, Datumaro and NUS-WIDE, in the shape that their documents and files have."""

import json

import pytest
from PIL import Image

from partlabel import LabelTable
from partlabel.data import readers

pytestmark = pytest.mark.filterwarnings("ignore:.*never present")


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def photo(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)


# Create ML

NAMES = [
    {"filename": "image1.jpg", "annotations": ["window_sill", "aloe", "pot"]},
    {"filename": "image2.jpg", "annotations": ["cactus", "pot", "person"]},
    {"filename": "image3.jpg", "annotations": []},
]
BOX = {"coordinates": {"x": 120, "y": 164, "width": 230, "height": 119}}
BOXES = [
    {"image": "a.jpg", "annotations": [{"label": "carrots", **BOX}, {"label": "carrots", **BOX}]},
    {"image": "b.jpg", "annotations": [{"label": "pot", **BOX}]},
]


def test_create_ml_names_classes_or_labels_boxes(tmp_path):
    path = write(tmp_path, "annotations.json", NAMES)
    assert readers.recognise(path) == "createml"
    table = LabelTable.read(path, absent="unknown")
    assert table.classes == ("aloe", "cactus", "person", "pot", "window_sill")
    assert table.labels.tolist() == [[1, -1, -1, 1, 1], [-1, 1, 1, 1, -1], [-1] * 5]
    path = write(tmp_path, "valid/_annotations.createml.json", BOXES)
    assert readers.recognise(path) == "createml"
    table = LabelTable.read(path, absent="negative")
    assert table.classes == ("carrots", "pot")
    assert table.labels.tolist() == [[1, 0], [0, 1]]
    assert table.split == ("val", "val")


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([*NAMES, {"filename": "x.jpg"}], "entry 4 has no 'annotations'"),
        ([{"filename": 3, "annotations": []}], "entry 1: 'filename' is 3, not a str"),
        ([{"image": "a.jpg", "annotations": [BOX]}], r"entry 1 \(a.jpg\): annotations\[0\] has no 'label'"),
    ],
)
def test_an_entry_of_create_ml_that_lacks_something_is_named(tmp_path, entries, says):
    path = write(tmp_path, "annotations.json", entries)
    with pytest.raises(ValueError, match=f"annotations.json: {says}"):
        LabelTable.read(path, absent="unknown", format="createml")
    with pytest.raises(ValueError, match=r"lists only what is present. Specify the meaning"):
        LabelTable.read(path, format="createml")


# Datumaro

LABELS = [{"name": name, "parent": "", "attributes": []} for name in ("car", "bicycle", "tom")]


def datumaro(*items, labels=LABELS):
    return {
        "dm_format_version": "1.0",
        "infos": {},
        "categories": {"label": {"labels": labels, "attributes": []}},
        "items": items,
    }


def item(number, *annotations, **media):
    return {"id": number, "annotations": annotations, **media}


def label(number, kind="label"):
    return {"id": 0, "type": kind, "attributes": {}, "group": 0, "label_id": number}


def test_datumaro_has_labels_and_shapes_by_number_and_a_file_for_each_part(tmp_path):
    photo(tmp_path / "images" / "train" / "100.jpg")
    photo(tmp_path / "images" / "train" / "21.png")
    caption = {"id": 1, "type": "caption", "caption": "hello"}
    write(
        tmp_path,
        "annotations/train.json",
        datumaro(
            item("100", caption, label(2), label(0, "bbox"), label(None, "bbox"), image={"path": "100.jpg"}),
            item("21", label(1, "mask")),
        ),
    )
    far = {"path": "../tests/datumaro/images/test/c.jpg"}
    photo(tmp_path / "images" / "test" / "c.jpg")
    test = write(tmp_path, "annotations/test.json", datumaro(item("c", label(1), media=far)))
    assert readers.recognise(tmp_path) == readers.recognise(test) == "datumaro"
    table = LabelTable.read(tmp_path, absent="negative")
    assert table.images == ("test/c.jpg", "train/100.jpg", "train/21.png")
    assert table.split == ("test", "train", "train")
    assert table.classes == ("car", "bicycle", "tom")
    assert table.labels.tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert table.texts == ((), ("hello",), ())
    assert LabelTable.read(test, absent="unknown").labels.tolist() == [[-1, 1, -1]]


def test_a_label_number_of_datumaro_that_does_not_exist_is_named_and_so_are_other_labels(tmp_path):
    path = write(tmp_path, "annotations/a.json", datumaro(item("c", label(5))))
    with pytest.raises(
        ValueError, match=r"items\[0\], 'c': annotations\[0\] has label_id 5, and the 3 labels"
    ):
        LabelTable.read(path, absent="unknown")
    write(tmp_path, "annotations/a.json", datumaro(item("c", label(2))))
    write(tmp_path, "annotations/b.json", datumaro(item("d"), labels=LABELS[:2]))
    with pytest.raises(
        ValueError, match=r"b.json: its labels \(car, bicycle\) differ from those of .*a.json"
    ):
        LabelTable.read(tmp_path, absent="unknown")


def test_coco_whose_categories_come_first_is_not_taken_for_datumaro(tmp_path):
    categories = [{"id": 1, "name": "label", "supercategory": "labels"}]
    content = {"categories": categories, "images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}
    assert readers.recognise(write(tmp_path, "a.json", content)) == "coco"


# NUS-WIDE


@pytest.fixture
def nus_wide(tmp_path):
    write(tmp_path, "ImageList/TrainImagelist.txt", "actor\\0001_1.jpg\nactor\\0002_2.jpg\nzoo\\1.jpg\n")
    write(tmp_path, "ImageList/TestImagelist.txt", "zoo\\2.jpg\n")
    write(tmp_path, "Concepts81.txt", "lake\nairport\n")
    labels = "Groundtruth/TrainTestLabels/Labels"
    for concept, train, test in (("airport", "1\n0\n0\n", "0\n"), ("lake", "0\n-1130179\n1\n", "1\n")):
        write(tmp_path, f"{labels}_{concept}_Train.txt", train)
        write(tmp_path, f"{labels}_{concept}_Test.txt", test)
    return tmp_path


def test_nus_wide_has_a_line_for_each_image_in_the_file_of_each_concept(nus_wide):
    """A published file has the line -1130179, which says neither that there is a lake nor that there is none."""
    assert readers.recognise(nus_wide) == "nus_wide"
    with pytest.warns(UserWarning, match="Labels_lake_Train.txt: 1 .* line 2, actor/0002_2.jpg: '-1130179'"):
        table = LabelTable.read(nus_wide)
    assert table.images == ("actor/0001_1.jpg", "actor/0002_2.jpg", "zoo/1.jpg", "zoo/2.jpg")
    assert table.classes == ("lake", "airport")
    assert table.labels.tolist() == [[0, 1], [-1, 0], [1, 0], [1, 0]]
    assert table.split == ("train", "train", "train", "test")


def test_files_of_nus_wide_that_do_not_fit_are_named(nus_wide):
    with pytest.raises(ValueError, match=r"there is no concept 'lakes' \(did you mean 'lake'\?\)"):
        LabelTable.read(nus_wide, classes=["lakes"])
    write(nus_wide, "Groundtruth/TrainTestLabels/Labels_airport_Test.txt", "0\n1\n")
    with pytest.raises(ValueError, match=r"Labels_airport_Test.txt has 2 lines, and .* names 1 images"):
        LabelTable.read(nus_wide)
