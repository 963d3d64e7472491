"""Formats of other programs, on tiny files written by hand: what each says is present, absent, and left open."""

import json
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, TiffImagePlugin

from partlabel import LabelTable
from partlabel.data import readers

pytestmark = pytest.mark.filterwarnings("ignore:.*never present")


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def known(table):
    """Return the known labels, as `{image: {class: 1 or 0}}`."""
    return {
        image: {name: int(code) for name, code in zip(table.classes, row, strict=True) if code >= 0}
        for image, row in zip(table.images, table.labels, strict=True)
    }


# Open Images

HUMAN = """ImageID,Source,LabelName,Confidence
000e4,verification,/m/dog,1
000e4,verification,/m/cat,0
00102,crowdsource-verification,/m/dog,0
00102,machine,/m/cat,0.9
00102,machine,/m/tree,0.6
"""
NAMES = 'LabelName,DisplayName\n/m/dog,Dog\n/m/cat,"Cat, domestic"\n/m/tree,Tree\n/m/tree2,Tree\n'


def open_images(folder, text=HUMAN, name="train-annotations-human-imagelabels.csv", names=NAMES):
    if names:
        write(folder, "oidv6-class-descriptions.csv", names)
    return write(folder, name, text)


def test_open_images_knows_only_what_people_were_asked(tmp_path):
    path = open_images(tmp_path)
    assert readers.recognise(path) == "open_images"
    table = LabelTable.read(path)
    assert table.classes == ("Cat, domestic", "Dog")  # the quoted comma is part of the name
    assert known(table) == {"000e4.jpg": {"Dog": 1, "Cat, domestic": 0}, "00102.jpg": {"Dog": 0}}


def test_a_machine_that_is_not_sure_enough_leaves_a_label_open_even_if_the_rest_is_negative(tmp_path):
    path = open_images(tmp_path)
    first = {"000e4.jpg": {"Dog": 1, "Cat, domestic": 0}}
    read = LabelTable.read(path, absent="negative")
    assert known(read) == first | {
        "00102.jpg": {"Dog": 0}
    }  # a machine says cat, and nobody asked for machines
    read = LabelTable.read(path, absent="negative", machine_from=0.95, classes=["Dog", "/m/tree", "/m/tree2"])
    assert known(read)["00102.jpg"] == {"Dog": 0, "Tree (/m/tree2)": 0}  # the machine says tree with .6
    assert known(read)["000e4.jpg"] == {"Dog": 1, "Tree (/m/tree)": 0, "Tree (/m/tree2)": 0}
    more = HUMAN + "weak,machine,/m/dog,0.3\n"
    machine = write(tmp_path, "machine.csv", "ImageID,Source,LabelName,Confidence\nweak,machine,/m/dog,1\n")
    read = LabelTable.read(
        open_images(tmp_path, more), absent="negative", machine=str(machine), machine_from=0.5
    )
    assert read.images == ("000e4.jpg", "00102.jpg"), "an image of which no label counts is none of the table"


def test_machine_labels_count_from_a_confidence_on_and_people_win(tmp_path):
    path = open_images(tmp_path, HUMAN + "00102,machine,/m/dog,0.99\n")
    table = LabelTable.read(path, machine_from=0.8)
    assert known(table)["00102.jpg"] == {"Dog": 0, "Cat, domestic": 1}
    table = LabelTable.read(path, machine_from=0.5)
    assert known(table)["00102.jpg"] == {"Dog": 0, "Cat, domestic": 1, "Tree (/m/tree)": 1}


def test_machine_labels_of_a_file_of_their_own_join_the_images_people_looked_at(tmp_path):
    more = "ImageID,Source,LabelName,Confidence\n000e4,machine,/m/tree,1\nffff,machine,/m/dog,1\n"
    machine = write(tmp_path, "train-annotations-machine-imagelabels.csv", more)
    table = LabelTable.read(open_images(tmp_path), machine=str(machine), machine_from=0.8)
    assert known(table)["000e4.jpg"] == {"Dog": 1, "Cat, domestic": 0, "Tree (/m/tree)": 1}
    assert table.images == ("000e4.jpg", "00102.jpg")
    with pytest.raises(
        ValueError, match=r"machine labels need a confidence threshold; give it with machine_from="
    ):
        LabelTable.read(open_images(tmp_path), machine=str(machine))


def test_images_without_a_row_of_the_chosen_classes_stay(tmp_path):
    table = LabelTable.read(open_images(tmp_path), classes=["Cat, domestic"])
    assert known(table) == {"000e4.jpg": {"Cat, domestic": 0}, "00102.jpg": {}}


def test_open_images_classes_can_be_chosen_by_name_or_id(tmp_path):
    table = LabelTable.read(open_images(tmp_path), classes=["/m/tree2", "Dog"])
    assert table.classes == ("Tree (/m/tree2)", "Dog")
    assert known(table) == {"000e4.jpg": {"Dog": 1}, "00102.jpg": {"Dog": 0}}
    with pytest.raises(ValueError, match=r"no class 'Dogg' \(did you mean 'Dog'\?\)"):
        LabelTable.read(open_images(tmp_path), classes=["Dogg"])


def test_a_folder_of_open_images_files_is_a_split(tmp_path):
    open_images(tmp_path)
    open_images(
        tmp_path,
        HUMAN.replace("0", "a", 1).replace("000e4", "b0"),
        "validation-annotations-human-imagelabels.csv",
    )
    table = LabelTable.read(tmp_path, format="open_images", absent="negative")
    assert table.parts == ("train", "val")
    with pytest.raises(ValueError, match="no file in this folder is named train-annotations-human"):
        LabelTable.read(tmp_path.parent, format="open_images")


def test_two_open_images_files_of_one_part_are_refused(tmp_path):
    open_images(tmp_path)
    open_images(tmp_path, name="oidv6-train-annotations-human-imagelabels.csv")
    said = (
        r"part 'train' has several files: oidv6-train-annot.*csv, train-annot.*csv; keep one in this folder"
    )
    with pytest.raises(ValueError, match=said):
        LabelTable.read(tmp_path, format="open_images")


def test_people_who_disagree_leave_a_label_open(tmp_path):
    path = open_images(tmp_path, HUMAN + "000e4,crowdsource-verification,/m/dog,0\n", names="")
    with pytest.warns(UserWarning, match=r"people disagree on 1 label\(s\); they stay unknown"):
        assert known(LabelTable.read(path))["000e4.jpg"] == {"/m/cat": 0}


@pytest.mark.filterwarnings("ignore:.*people disagree")
def test_what_people_disagree_on_stays_open_even_if_the_rest_is_negative(tmp_path):
    path = open_images(tmp_path, HUMAN + "000e4,crowdsource-verification,/m/dog,0\n", names="")
    both = {"000e4.jpg": {"/m/cat": 0}, "00102.jpg": {"/m/dog": 0}}
    assert known(LabelTable.read(path, absent="negative")) == both
    table = LabelTable.read(path, absent="negative", machine_from=0.5, classes=["/m/dog", "/m/tree"])
    assert known(table) == {"000e4.jpg": {"/m/tree": 0}, "00102.jpg": {"/m/dog": 0, "/m/tree": 1}}
    assert table.origins.of(0, 0) == "" and table.origins.of(0, 1) == "not mentioned"


def test_descriptions_in_other_encodings_are_refused_by_name(tmp_path):
    path = open_images(tmp_path)
    (tmp_path / "oidv6-class-descriptions.csv").write_bytes("/m/dog,Köter\n".encode("latin-1"))
    with pytest.raises(
        ValueError, match=r"class-descriptions.csv: not UTF-8 at byte 8; save the file as UTF-8"
    ):
        LabelTable.read(path)


@pytest.mark.parametrize(
    ("text", "names", "said"),
    [
        (
            HUMAN + "x,verification,/m/dog,0.7\n",
            "",
            r"line 7: image 'x', label '/m/dog', confidence '0.7': a human confidence is",
        ),
        (HUMAN + "x,machine,/m/dog,much\n", "", r"line 7: .*'much'"),
        (
            HUMAN + "x,machine,/m/dog,7\n,verification,/m/dog,1\n",
            "",
            r"line 7: .*; 1 more rows are wrong",
        ),
        (HUMAN, "/m/dog\n", r"descriptions.csv, line 1: '/m/dog' is not an id and a name"),
    ],
)
def test_what_is_wrong_with_open_images_is_said(tmp_path, text, names, said):
    with pytest.raises(ValueError, match=said):
        LabelTable.read(open_images(tmp_path, text, names=names))


# LVIS

LVIS = {
    "annotations": [{"image_id": 7, "category_id": 2}, {"image_id": 8, "category_id": 1}],
    "images": [
        {
            "id": 7,
            "coco_url": "http://images.cocodataset.org/train2017/000000000007.jpg",
            "neg_category_ids": [1],
            "not_exhaustive_category_ids": [3],
        },
        {"id": 8, "file_name": "val2017/8.jpg", "neg_category_ids": [], "not_exhaustive_category_ids": [1]},
    ],
    "categories": [
        {"id": 3, "name": "apple"},
        {"id": 1, "name": "bat_(animal)"},
        {"id": 2, "name": "cup"},
        {"id": 4, "name": "owl"},
    ],
}


def test_lvis_knows_annotations_and_negative_categories(tmp_path):
    path = write(tmp_path, "lvis_v1_val.json", LVIS)
    assert readers.recognise(path) == "lvis"
    table = LabelTable.read(path)
    assert table.classes == ("bat_(animal)", "cup", "apple", "owl")
    assert known(table) == {
        "train2017/000000000007.jpg": {"bat_(animal)": 0, "cup": 1},
        "val2017/8.jpg": {"bat_(animal)": 1},
    }


def test_what_lvis_did_not_mark_exhaustively_stays_open_even_if_the_rest_is_negative(tmp_path):
    table = LabelTable.read(write(tmp_path, "l.json", LVIS), absent="negative")
    assert known(table)["train2017/000000000007.jpg"] == {"bat_(animal)": 0, "cup": 1, "owl": 0}
    assert known(table)["val2017/8.jpg"] == {"bat_(animal)": 1, "cup": 0, "apple": 0, "owl": 0}


def test_lvis_images_are_found_without_the_folders_of_coco(tmp_path):
    for name in ("000000000007.jpg", "8.jpg"):
        write(tmp_path, f"photos/{name}", "")
    table = LabelTable.read(write(tmp_path, "l.json", LVIS), images=tmp_path / "photos")
    assert table.images == ("000000000007.jpg", "8.jpg")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"categories": None}, r"the file: 'categories' is null, not a list"),
        (
            {"annotations": [{"image_id": 1, "category_id": 1}]},
            r"annotations\[0\] has image_id 1, which is not in the file",
        ),
        (
            {"annotations": [{"image_id": 7, "category_id": 9}]},
            r"annotations\[0\]: category_id names category 9",
        ),
        (
            {"annotations": [{"image_id": 7, "category_id": 1}]},
            r"images\[0\], image .* has class 'bat_\(animal\)' both",
        ),
        (
            {"images": [{"id": 7, "neg_category_ids": [5], "coco_url": "/a/b.jpg"}], "annotations": []},
            "neg_category_ids names category 5",
        ),
        (
            {"images": [{"id": 7, "neg_category_ids": []}], "annotations": []},
            r"images\[0\] has no 'coco_url'",
        ),
    ],
)
def test_what_is_wrong_with_lvis_is_said(tmp_path, changes, said):
    with pytest.raises(ValueError, match=said):
        LabelTable.read(write(tmp_path, "l.json", LVIS | changes), format="lvis")


# Label Studio


def ticked(*names, control="tags"):
    return {"from_name": control, "to_name": "image", "type": "choices", "value": {"choices": list(names)}}


def task(image, *annotations):
    return {
        "id": 1,
        "data": {"image": image},
        "annotations": list(annotations),
        "predictions": [{"result": [ticked("x")]}],
    }


def submitted(*result, **more):
    return {"result": list(result), "was_cancelled": False, **more}


SKIPPED = {"result": [], "was_cancelled": True}
TASKS = [
    task("/data/local-files/?d=set%20one/a.jpg", submitted(ticked("dog", "cat"))),
    task("/data/upload/3/0a1b2c3d-b.jpg", SKIPPED),
    task("s3://bucket/set/c.jpg"),
    task("https://host/set/d.jpg?token=1", submitted()),
]


def test_label_studio_tells_submitted_from_skipped_and_from_not_yet_annotated(tmp_path):
    path = write(tmp_path, "project-1.json", TASKS)
    assert readers.recognise(path) == "label_studio"
    assert known(LabelTable.read(path, absent="negative")) == {
        "set one/a.jpg": {"dog": 1, "cat": 1},
        "b.jpg": {},
        "set/c.jpg": {},
        "set/d.jpg": {"dog": 0, "cat": 0},
    }
    assert LabelTable.read(path, absent="unknown", classes=["cat", "dog", "owl"]).absent == 0
    with pytest.raises(
        ValueError, match=r"not selected was rejected, or not considered. Specify the meaning"
    ):
        LabelTable.read(path)


def test_label_studio_images_are_found_by_the_longest_tail_that_is_there(tmp_path):
    for name in ("a.jpg", "0a1b2c3d-b.jpg", "set/c.jpg", "d.jpg"):
        write(tmp_path, f"photos/{name}", "")
    table = LabelTable.read(write(tmp_path, "p.json", TASKS), images=tmp_path / "photos", absent="negative")
    assert table.images == ("a.jpg", "0a1b2c3d-b.jpg", "set/c.jpg", "d.jpg")


def test_a_second_control_says_what_is_absent(tmp_path):
    annotation = submitted(ticked("dog"), ticked("cat", control="gone"))
    path = write(tmp_path, "p.json", [task("a.jpg", annotation)])
    table = LabelTable.read(path, absent_control="gone", classes=["cat", "dog", "owl"])
    assert known(table) == {"a.jpg": {"cat": 0, "dog": 1}}
    with pytest.raises(
        ValueError,
        match=r"several controls have choices: 'gone', 'tags'; name the one of present classes with control=",
    ):
        LabelTable.read(path, absent="unknown")
    with pytest.raises(
        ValueError, match=r"no choices were selected in a control 'gonne' \(did you mean 'gone'\?\)"
    ):
        LabelTable.read(path, absent_control="gonne")


def test_a_control_of_absent_choices_may_wait_for_its_first_tick(tmp_path):
    path = write(tmp_path, "p.json", [task("a.jpg", submitted(ticked("dog", control="present_tags")))])
    with pytest.warns(
        UserWarning,
        match=r"p.json: no choices were selected in a control 'gone' so far, .*are: 'present_tags'",
    ):
        table = LabelTable.read(path, absent_control="gone", classes=["cat", "dog"])
    assert known(table) == {"a.jpg": {"dog": 1}}
    said = (
        r"control 'absent_tags' \(did you mean 'present_tags'\?\); "
        r".* If it is right, name the control of present classes with control="
    )
    with pytest.raises(ValueError, match=said):  # else a mistyped name turns absent into present
        LabelTable.read(path, absent_control="absent_tags")
    with pytest.warns(UserWarning, match=r"in a control 'absent_tags' so far"):
        table = LabelTable.read(path, absent_control="absent_tags", control="present_tags")
    assert known(table) == {"a.jpg": {"dog": 1}}


def test_per_cent_signs_in_the_path_of_a_local_file_stay(tmp_path):
    path = write(
        tmp_path, "p.json", [task("/data/local-files/?d=set/50%2525%20off.jpg", submitted(ticked("x")))]
    )
    assert LabelTable.read(path, absent="unknown").images == ("set/50%25 off.jpg",)


def test_annotators_who_disagree_leave_a_label_open_unless_one_is_the_truth(tmp_path):
    two = [submitted(ticked("dog", "cat")), submitted(ticked("dog"))]
    path = write(tmp_path, "p.json", [task("a.jpg", *two), task("b.jpg", submitted(ticked("owl")))])
    assert known(LabelTable.read(path, absent="negative"))["a.jpg"] == {"dog": 1, "owl": 0}
    assert known(LabelTable.read(path, absent="unknown"))["a.jpg"] == {"dog": 1, "cat": 1}
    with pytest.raises(
        ValueError, match=r"task 1, image 'a.jpg': class 'cat' is selected by some annotators"
    ):
        LabelTable.read(path, absent="negative", disagree="refuse")
    two[1]["ground_truth"] = True
    path = write(tmp_path, "p.json", [task("a.jpg", *two), task("b.jpg", submitted(ticked("cat")))])
    assert known(LabelTable.read(path, absent="negative"))["a.jpg"] == {"dog": 1, "cat": 0}


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ({"a": 1}, "which is a list of tasks; export as JSON"),
        ([{"id": 1, "image": "a.jpg", "choice": "dog"}], r"task 1 has no 'annotations'; is this JSON-MIN\?"),
        (
            [{"data": {"img": "a.jpg"}, "annotations": [submitted(ticked("x"))]}],
            r"task 1: data has no 'image' \(did you mean 'img'\?\)",
        ),
        ([task("a.jpg", submitted({"type": "rectanglelabels"}))], r"no submitted annotation has choices"),
        (
            [task("a.jpg", submitted(ticked("a", 3)))],
            r"result\[0\]: choices is .*, not a list of class names",
        ),
        ([task("a.jpg", {"was_cancelled": False})], r"task 1: annotations\[0\] has no 'result'"),
        ([3], r"task 1 is 3, not an object"),
    ],
)
def test_what_is_wrong_with_label_studio_is_said(tmp_path, tasks, said):
    with pytest.raises(ValueError, match=said):
        LabelTable.read(write(tmp_path, "p.json", tasks), format="label_studio", absent="negative")


def test_a_class_that_is_no_choice_names_the_task(tmp_path):
    with pytest.raises(
        ValueError, match=r"not among the classes: 'cat' .*first in task 1, image 'set one/a.jpg'"
    ):
        LabelTable.read(write(tmp_path, "p.json", TASKS), absent="negative", classes=["dog", "car"])


# FiftyOne


def labels(*names, **confidence):
    each = [{"_cls": "Classification", "label": name} for name in names]
    each += [
        {"_cls": "Classification", "label": name, "confidence": sure} for name, sure in confidence.items()
    ]
    return {"_cls": "Classifications", "classifications": each}


def samples(*each):
    return {"name": "x", "samples": list(each)}


def test_fiftyone_has_positive_and_negative_lists(tmp_path):
    content = samples(
        {
            "filepath": "data/a.jpg",
            "tags": ["train"],
            "positive_labels": labels("dog"),
            "negative_labels": labels("cat"),
        },
        {
            "filepath": "/far/away/data/b.jpg",
            "tags": ["validation"],
            "positive_labels": None,
            "negative_labels": None,
        },
    )
    write(tmp_path, "data/b.jpg", "")
    path = write(tmp_path, "samples.json", content)
    assert readers.recognise(path) == "fiftyone"
    table = LabelTable.read(path)
    assert known(table) == {"data/a.jpg": {"dog": 1, "cat": 0}, "data/b.jpg": {}}
    assert table.split == ("train", "val")
    assert known(LabelTable.read(tmp_path, format="fiftyone")) == known(table)


def test_an_empty_field_is_not_an_empty_list(tmp_path):
    content = samples(
        {"filepath": "a.jpg", "ground_truth": labels()},
        {"filepath": "b.jpg", "ground_truth": None},
        {"filepath": "c.jpg", "ground_truth": {"_cls": "Classification", "label": "dog"}},
    )
    path = write(tmp_path, "f.json", content)
    assert known(LabelTable.read(path, absent="negative")) == {
        "a.jpg": {"dog": 0},
        "b.jpg": {},
        "c.jpg": {"dog": 1},
    }
    with pytest.raises(
        ValueError, match=r"the field 'ground_truth' lists only what is present. Specify the meaning"
    ):
        LabelTable.read(path)


def test_fiftyone_labels_may_be_left_out_by_confidence(tmp_path):
    path = write(
        tmp_path, "f.json", samples({"filepath": "a.jpg", "predictions": labels("owl", dog=0.9, cat=0.2)})
    )
    assert LabelTable.read(path, absent="unknown", confidence=0.5).classes == ("dog", "owl")


def test_what_fiftyone_is_too_little_sure_of_stays_open_even_if_the_rest_is_negative(tmp_path):
    boxes = [{"_cls": "Detection", "label": "dog", "confidence": sure} for sure in (0.9, 0.1)]
    content = samples(
        {
            "filepath": "a.jpg",
            "positive_labels": labels(dog=0.9, cat=0.2),
            "negative_labels": labels(owl=0.1),
        },
        {"filepath": "b.jpg", "positive_labels": labels("cat", "owl"), "negative_labels": labels("fox")},
        {"filepath": "c.jpg", "positive_labels": {"_cls": "Detections", "detections": boxes}},
    )
    path = write(tmp_path, "f.json", content)
    assert known(LabelTable.read(path, absent="negative", confidence=0.5)) == {
        "a.jpg": {"dog": 1, "fox": 0},
        "b.jpg": {"cat": 1, "dog": 0, "fox": 0, "owl": 1},
        "c.jpg": {"cat": 0, "dog": 1, "fox": 0, "owl": 0},
    }


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        ({"samples": 3}, {}, "the file: 'samples' is 3, not a list"),
        (samples({"path": "a.jpg"}), {}, r"samples\[0\] has no 'filepath'"),
        (
            samples({"filepath": "a.jpg"}),
            {},
            "no field has labels; name the field of present classes with field=",
        ),
        (
            samples({"filepath": "a.jpg", "a": labels("x"), "b": labels("y")}),
            {},
            "several fields have labels: 'a', 'b'; name",
        ),
        (
            samples({"filepath": "a.jpg", "truth": labels("x")}),
            {"field": "truht"},
            r"field 'truht' \(did you mean 'truth'\?\)",
        ),
        (
            samples({"filepath": "a.jpg", "positive_labels": labels("x"), "negative_labels": labels("x")}),
            {},
            "class 'x' both",
        ),
        (
            samples({"filepath": "a.jpg", "a": {"_cls": "Classifications", "classifications": [{}]}}),
            {},
            r"samples\[0\]: a\[0\] has no 'label'",
        ),
    ],
)
def test_what_is_wrong_with_fiftyone_is_said(tmp_path, content, options, said):
    with pytest.raises(ValueError, match=said):
        LabelTable.read(write(tmp_path, "f.json", content), format="fiftyone", absent="unknown", **options)


# Hugging Face


def hub(folder, name="train-00000-of-00001.parquet", names=("cat", "dog"), **columns):
    table = pa.table(columns)
    if names:
        feature = {"feature": {"names": list(names), "_type": "ClassLabel"}, "_type": "List"}
        kept = json.dumps({"info": {"features": {"labels": feature}}})
        table = table.replace_schema_metadata({"huggingface": kept})
    pq.write_table(table, folder / name)
    return folder / name


def test_a_hub_data_set_names_its_ids_in_its_metadata(tmp_path):
    path = hub(
        tmp_path, image=["a.jpg", "b.jpg", "c.jpg"], labels=pa.array([[1], [], None], pa.list_(pa.int64()))
    )
    assert readers.recognise(path) == "hugging_face"
    table = LabelTable.read(path, absent="negative")
    assert known(table) == {"a.jpg": {"cat": 0, "dog": 1}, "b.jpg": {"cat": 0, "dog": 0}, "c.jpg": {}}
    with pytest.raises(ValueError, match=r"the labels list only what is present. Specify the meaning"):
        LabelTable.read(path)


def test_multi_hot_lists_hold_all_three_codes(tmp_path):
    path = hub(tmp_path, image=["a.jpg"], labels=pa.array([[1, None]], pa.list_(pa.int8())))
    assert known(LabelTable.read(path, coding="multi_hot")) == {"a.jpg": {"cat": 1}}
    path = hub(tmp_path, image=["a.jpg"], labels=pa.array([[1, 0]], pa.list_(pa.int8())))
    assert known(LabelTable.read(path, coding="multi_hot")) == {"a.jpg": {"cat": 1, "dog": 0}}


def test_null_in_multi_hot_lists_stays_open_even_if_the_rest_is_negative(tmp_path):
    path = hub(tmp_path, image=["a.jpg", "b.jpg"], labels=pa.array([[1, None], None], pa.list_(pa.int8())))
    table = LabelTable.read(path, coding="multi_hot", absent="negative")
    assert known(table) == {"a.jpg": {"cat": 1}, "b.jpg": {}}


def png(shade):
    file = BytesIO()
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def inside(folder, name, *shades):
    """A file with images inside, whose labels are their shades."""
    folder.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": png(shade), "path": "../../x.jpg"} for shade in shades]
    return hub(folder, name, names=(), image=images, labels=[[f"s{shade}"] for shade in shades])


def says_its_shades(table):
    """Return whether each path leads to the photo that its labels belong to."""
    return all(
        table.path(row).read_bytes() == png(int(table.classes[column][1:]))
        for row, column in np.argwhere(table.labels == 1).tolist()
    )


def test_images_inside_are_written_out_once(tmp_path):
    path = inside(tmp_path, "train-00000-of-00001.parquet", 9)
    assert readers.recognise(path) == "hugging_face"
    with pytest.raises(
        ValueError, match=r"row 1: the image is inside the file; to write images into a folder, give extract="
    ):
        LabelTable.read(path, absent="unknown")
    for _ in range(2):
        table = LabelTable.read(path, absent="unknown", extract=str(tmp_path / "photos"))
    assert table.images == ("train-00000-of-00001-0.png",)
    assert table.path(0).read_bytes() == png(9)


def test_files_of_one_name_in_several_folders_keep_their_images_apart(tmp_path):
    inside(tmp_path / "conv/default/train", "0000.parquet", 1, 2, 3)
    inside(tmp_path / "conv/default/test", "0000.parquet", 4, 5, 6)
    how = {"format": "hugging_face", "absent": "unknown", "extract": tmp_path / "photos"}
    table = LabelTable.read(tmp_path / "conv", **how)
    assert table.images[0] == "default/test/0000-0.png" and len(table) == 6
    assert table.split == ("test",) * 3 + ("train",) * 3
    assert says_its_shades(table)


def test_images_of_two_data_sets_are_not_mixed_in_one_folder(tmp_path):
    how = {"absent": "unknown", "extract": tmp_path / "photos"}
    LabelTable.read(inside(tmp_path / "a", "train-00000-of-00001.parquet", 1), **how)
    other = inside(tmp_path / "b", "train-00000-of-00001.parquet", 2)
    said = (
        r"b/train-.*row 1: .*photos/train-.*-0.png is another image; .* Give a separate folder with extract="
    )
    with pytest.raises(ValueError, match=said):
        LabelTable.read(other, **how)


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (["dev-0.parquet", "eval-0.parquet"], ("val", "test")),
        (["partial-train/0.parquet", "validation/0.parquet"], ("train", "val")),
        (["test/train-0.parquet", "test/x.parquet"], ("train", "test")),
        (["my_valid_photos.parquet", "train2017.parquet"], ("val", "train")),
        (["0000.parquet", "0001.parquet"], None),
        (["contest.parquet", "trains.parquet"], None),
    ],
)
def test_a_word_in_the_name_of_a_hub_file_or_its_folder_is_the_part(tmp_path, names, parts):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        hub(tmp_path, name, image=[f"{name}.jpg"], labels=[[0]])
    assert LabelTable.read(tmp_path, format="hugging_face", absent="unknown").split == parts


def test_a_hub_file_without_a_part_beside_others_that_have_one_is_refused(tmp_path):
    hub(tmp_path, image=["a.jpg"], labels=[[1]])
    hub(tmp_path, "0000.parquet", image=["b.jpg"], labels=[[1]])
    with pytest.raises(ValueError, match=r"0000.parquet has no part. .*; rename it, or remove it"):
        LabelTable.read(tmp_path, format="hugging_face", absent="unknown")


def test_the_files_of_a_hub_folder_are_the_parts(tmp_path):
    hub(tmp_path, image=["a.jpg"], labels=[[1]])
    hub(tmp_path, "validation-00000-of-00001.parquet", image=["b.jpg"], labels=[[0]])
    table = LabelTable.read(tmp_path, format="hugging_face", absent="unknown")
    assert dict(zip(table.images, table.split, strict=True)) == {"a.jpg": "train", "b.jpg": "val"}


@pytest.mark.parametrize(
    ("columns", "names", "options", "said"),
    [
        (
            {"photo": ["a.jpg"], "labels": [[1]]},
            ("a", "b"),
            {},
            r"no column of images: .*Select one with image_column=",
        ),
        (
            {"image": ["a.jpg"], "labels": [[5]]},
            ("a", "b"),
            {},
            r"row 1: id 5 of labels has no name: there are 2",
        ),
        (
            {"image": ["a.jpg"], "labels": [[5]]},
            (),
            {},
            r"what is label 5\? The file has no names of ids: give classes=",
        ),
        (
            {"image": ["a.jpg"], "labels": [[5, 1]]},
            ("a", "b"),
            {"coding": "multi_hot"},
            "row 1: 5 is not 1, 0 or null",
        ),
        (
            {"image": ["a.jpg"], "labels": [[1]]},
            ("a", "b"),
            {"coding": "multi_hot"},
            "row 1: 1 values for 2 classes",
        ),
        ({"image": [None], "labels": [["x"]]}, (), {}, "row 1: no image: None"),
    ],
)
def test_what_is_wrong_with_a_hub_data_set_is_said(tmp_path, columns, names, options, said):
    with pytest.raises(ValueError, match=said):
        LabelTable.read(
            hub(tmp_path, names=names, **columns), format="hugging_face", absent="unknown", **options
        )


# JSON lines, sidecars, keywords


def test_json_lines_say_what_is_present_and_what_is_absent(tmp_path):
    path = write(
        tmp_path,
        "t.jsonl",
        '{"image": "a.jpg", "present": ["dog "], "absent": ["cat"]}\n\n{"image": "b.jpg"}\n',
    )
    assert readers.recognise(path) == "jsonl"
    assert known(LabelTable.read(path)) == {"a.jpg": {"dog": 1, "cat": 0}, "b.jpg": {}}
    assert known(LabelTable.read(path, absent="negative"))["b.jpg"] == {}


def test_null_in_a_line_of_json_stays_open_even_if_the_rest_is_negative(tmp_path):
    one = '{"image": "a.jpg", "labels": {"dog": 1, "cup": null}}'
    other = '{"image": "b.jpg", "labels": {"cup": {"label": null}}}'
    table = LabelTable.read(write(tmp_path, "t.jsonl", f"{one}\n{other}"), absent="negative")
    assert known(table) == {"a.jpg": {"dog": 1}, "b.jpg": {"dog": 0}}


def test_a_line_of_json_may_hold_the_line_separator_of_unicode(tmp_path):
    path = write(tmp_path, "t.jsonl", '{"image": "a\u2028b.jpg", "present": ["x\u2028y"], "absent": []}\n')
    assert known(LabelTable.read(path)) == {"a\u2028b.jpg": {"x\u2028y": 1}}


def test_json_lines_in_other_encodings_are_refused_by_name(tmp_path):
    (tmp_path / "t.jsonl").write_bytes('{"image": "é.jpg"}'.encode("latin-1"))
    with pytest.raises(ValueError, match=r"t.jsonl: not UTF-8 at byte 11; save the file as UTF-8"):
        LabelTable.read(tmp_path / "t.jsonl")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 1: not JSON"),
        ('{"image": "a.jpg"}', "no line has a list 'present'; give its name with present_key="),
        ('{"image": "a.jpg", "present": ["x"]}', "no line has a list 'absent'. Specify the meaning"),
        ('{"image": "a.jpg", "present": "x"}', "line 1: 'present' is \"x\", not a list of class names"),
        ('{"image": "a.jpg", "present": ["x"], "absent": ["x"]}', "line 1, image 'a.jpg' has class 'x' both"),
        (
            '{"image": "a", "present": [], "absent": [], "split": "s"}\n{"image": "b", "present": []}',
            "line 2 has no 'split' but others do",
        ),
    ],
)
def test_what_is_wrong_with_json_lines_is_said(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        LabelTable.read(write(tmp_path, "t.jsonl", text))


def test_files_beside_the_images_hold_their_classes(tmp_path):
    for name in ("a.jpg", "in/b.png", "c.jpg", "d.jpg", "e.jpg"):
        write(tmp_path, name, "")
    write(tmp_path, "a.txt", "dog, traffic light\ncat\n")
    write(tmp_path, "in/b.png.txt", "")
    write(tmp_path, "c.json", {"present": ["dog"], "absent": ["cat"]})
    write(tmp_path, "d.json", {"labels": {"dog": 0, "cat": 1, "traffic light": None}})
    table = LabelTable.read(tmp_path, format="sidecar")
    assert known(table) == {
        "a.jpg": {"cat": 1, "dog": 1, "traffic light": 1},
        "in/b.png": {},
        "c.jpg": {"dog": 1, "cat": 0},
        "d.jpg": {"dog": 0, "cat": 1},
        "e.jpg": {},
    }
    whole = known(LabelTable.read(tmp_path, format="sidecar", absent="negative"))
    assert whole["in/b.png"] == {"cat": 0, "dog": 0, "traffic light": 0} and whole["e.jpg"] == {}
    assert whole["d.jpg"] == {"dog": 0, "cat": 1} and whole["c.jpg"] == {
        "cat": 0,
        "dog": 1,
        "traffic light": 0,
    }


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no image has a .txt or .json of its name beside it, such as a.jpg.txt"),
        ({"a.txt": "x", "a.json": "[]"}, "image 'a.jpg' has a.txt, a.json; keep one"),
        ({"a.json": '{"here": ["x"]}'}, "neither a list of names, nor"),
        ({"a.json": "[3]"}, r"a.json: the file is \[3\], not a list of class names"),
        ({"a.txt": "x"}, "list only what is present. Specify the meaning"),
    ],
)
def test_what_is_wrong_with_files_beside_images_is_said(tmp_path, files, said):
    write(tmp_path, "a.jpg", "")
    for name, text in files.items():
        write(tmp_path, name, text)
    with pytest.raises(ValueError, match=said):
        LabelTable.read(tmp_path, format="sidecar")


XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag>{}</rdf:Bag></dc:subject>
<dc:title><rdf:Alt><rdf:li>no keyword</rdf:li></rdf:Alt></dc:title></rdf:Description></rdf:RDF></x:xmpmeta>"""


def xmp(*names):
    return XMP.format("".join(f"<rdf:li>{name}</rdf:li>" for name in names))


def iptc(*names):
    """An IPTC block of keywords (record 2, data set 25)."""
    return b"".join(b"\x1c\x02\x19" + len(name).to_bytes(2, "big") + name for name in names)


def photo(path, **how):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), "red").save(path, **how)
    return path


def test_keywords_come_from_xmp_iptc_windows_and_files_beside(tmp_path):
    photo(tmp_path / "a.jpg", xmp=xmp("dog", "crème").encode())
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[33723] = iptc(b"cat", "été".encode("latin-1"))
    tags.tagtype[33723] = 7
    photo(tmp_path / "b.tif", tiffinfo=tags)
    exif = Image.Exif()
    exif[0x9C9E] = "dog;owl".encode("utf-16-le") + b"\0\0"
    photo(tmp_path / "c.jpg", exif=exif)
    photo(tmp_path / "d.png")
    write(tmp_path, "d.png.xmp", xmp("owl"))
    photo(tmp_path / "e.jpg")
    write(tmp_path, "f.jpg", "no image")
    table = LabelTable.read(tmp_path, format="keywords", absent="unknown")
    assert known(table) == {
        "a.jpg": {"dog": 1, "crème": 1},
        "b.tif": {"cat": 1, "été": 1},
        "c.jpg": {"dog": 1, "owl": 1},
        "d.png": {"owl": 1},
        "e.jpg": {},
        "f.jpg": {},
    }
    chosen = known(LabelTable.read(tmp_path, format="keywords", absent="negative", classes=["dog", "owl"]))
    assert chosen["b.tif"] == {"dog": 0, "owl": 0} and chosen["e.jpg"] == {}


def test_what_is_wrong_with_keywords_is_said(tmp_path):
    photo(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"keywords list only what is present. Specify the meaning"):
        LabelTable.read(tmp_path, format="keywords")
    with pytest.raises(ValueError, match=r"none of the 1 images has keywords"):
        LabelTable.read(tmp_path, format="keywords", absent="unknown")
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa">]>' + xmp("&a;")
    write(tmp_path, "a.xmp", bomb)
    with pytest.raises(ValueError, match=r"a.xmp: not XMP: it declares a document type"):
        LabelTable.read(tmp_path, format="keywords", absent="unknown")
    photo(tmp_path / "b.jpg", xmp=bomb.encode())
    (tmp_path / "a.xmp").unlink()
    photo(tmp_path / "c.jpg", xmp=xmp("dog").encode())
    assert np.array_equal(
        LabelTable.read(tmp_path, format="keywords", absent="unknown").labels, [[-1], [-1], [1]]
    )


# Which is which


def test_json_files_are_told_apart(tmp_path):
    coco = {key: value for key, value in LVIS.items() if key != "images"} | {"images": []}
    contents = {"coco": coco, "lvis": LVIS, "label_studio": TASKS, "fiftyone": samples()}
    for name, content in contents.items():
        assert readers.recognise(write(tmp_path, f"{name}.json", content)) == name


def test_a_folder_of_photos_stays_a_folder_whatever_lies_beside_them(tmp_path):
    photo(tmp_path / "a.jpg", xmp=xmp("dog").encode())
    write(tmp_path, "a.txt", "dog")
    assert readers.recognise(tmp_path) == "folder"
