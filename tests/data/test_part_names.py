"""Names of parts: what other tools call validation is validation in every reader, and others are named."""

import json

import numpy as np
import pytest

from partlabel import LabelTable
from partlabel.data.tables import splits
from partlabel.data.tables.part_names import part_name, part_of_path

pytestmark = pytest.mark.filterwarnings("ignore:.*never present")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("train", "train"), ("Training", "train"), ("TRAIN", "train"), ("trainval", "train")),
        *(("train2017", "train"), ("training set", "train")),
        *(("val", "val"), ("Val", "val"), ("valid", "val"), ("VALID", "val"), ("validation", "val")),
        *(("dev", "val"), ("val2017", "val"), ("validation_set", "val")),
        *(("test", "test"), ("testing", "test"), ("Eval", "test"), ("evaluation", "test")),
        *(("holdout", "holdout"), ("fold1", "fold1"), ("test-A", "test-A"), ("train noisy", "train noisy")),
        *(("", ""), ("0", "0"), ("valentine", "valentine")),
    ],
)
def test_a_part_is_known_by_the_names_that_tools_give_it(name, meant):
    assert part_name(name) == meant


def test_a_path_is_in_the_part_that_its_nearest_folder_names():
    assert part_of_path("data/valid/images/a.jpg") == "val"
    assert part_of_path("train/testing/a.jpg") == "test"
    assert part_of_path("photos/train.jpg") == ""


@pytest.mark.parametrize("name", ["valid", "validation", "dev", "Val"])
def test_every_table_reader_takes_other_names_of_validation_for_val(tmp_path, name):
    wide = tmp_path / "wide.csv"
    wide.write_text(f"image,split,dog\na.jpg,{name},1\nb.jpg,train,0\n")
    long = tmp_path / "long.csv"
    long.write_text(f"image,split,labels\na.jpg,{name},dog\nb.jpg,train,dog\n")
    lines = tmp_path / "lines.jsonl"
    rows = [
        {"image": "a.jpg", "present": ["dog"], "split": name},
        {"image": "b.jpg", "present": ["dog"], "split": "train"},
    ]
    lines.write_text("\n".join(map(json.dumps, rows)))
    for path in (wide, long, lines):
        table = LabelTable.read(path, absent="unknown")
        assert table.split == ("val", "train"), path.name
        assert table.part(name).images == ("a.jpg",), "it is found under its old name, too"


def test_a_fiftyone_tag_may_have_any_name_of_a_part(tmp_path):
    def sample(image, tag):
        labels = {"_cls": "Classifications", "classifications": [{"_cls": "Classification", "label": "dog"}]}
        return {"filepath": image, "tags": [tag], "truth": labels}

    path = tmp_path / "samples.json"
    path.write_text(json.dumps({"samples": [sample("a.jpg", "dev"), sample("b.jpg", "training")]}))
    assert LabelTable.read(path, absent="negative").split == ("val", "train")


def table(tmp_path, split):
    from PIL import Image

    names = [f"{number}.png" for number in range(len(split))]
    for name in names:
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    return LabelTable(tuple(names), ("dog",), np.ones((len(names), 1), np.int8), tuple(split), tmp_path)


def test_what_a_table_calls_validation_chooses_the_epoch(tmp_path):
    found = splits.training_parts(table(tmp_path, ["training", "training", "validation"]), None, 0.5, 0)
    assert found.train.images == ("0.png", "1.png"), "none of them is cut off for validation"
    assert found.val is not None and found.val.images == ("2.png",)


def test_a_part_of_another_name_is_said_to_be_unused(tmp_path):
    given = table(tmp_path, ["train", "train", "holdout", "holdout"])
    with pytest.warns(
        UserWarning, match=r"part 'holdout' \(2 images\) is not used: .*training.*validation.*testing"
    ):
        splits.training_parts(given, None, 0.0, 0)
