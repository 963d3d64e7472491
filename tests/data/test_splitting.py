"""Parts of a table: sizes, shares of classes, groups kept whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from partlabel import LabelTable
from partlabel.data.tables import group_column, stratified_split


def table(rows=200, classes=4, seed=0, known=0.5):
    random = np.random.RandomState(seed)
    labels = (random.rand(rows, classes) < np.linspace(0.05, 0.5, classes)).astype(np.int8)
    labels[random.rand(rows, classes) > known] = -1
    return LabelTable(tuple(f"{row}.jpg" for row in range(rows)), tuple("abcdefgh"[:classes]), labels)


def test_parts_have_their_size_and_every_class_its_share():
    whole = table(1000)
    divided = stratified_split.divide(whole, {"test": 0.2, "val": 0.1})
    assert divided.images == whole.images and np.array_equal(divided.labels, whole.labels)
    sizes = {name: len(divided.part(name)) for name in divided.parts}
    assert sizes["test"] == pytest.approx(200, abs=4) and sizes["val"] == pytest.approx(100, abs=4)
    for code in (0, 1):
        total = (whole.labels == code).sum(axis=0)
        in_test = (divided.part("test").labels == code).sum(axis=0)
        assert np.all(np.abs(in_test - 0.2 * total) <= 0.02 * total + 2)


@given(st.integers(0, 1000), st.integers(4, 40))
def test_a_group_is_in_one_part(seed, number):
    random = np.random.RandomState(seed)
    names = [f"g{each}" for each in random.randint(number, size=200)]
    names[:number] = [f"g{each}" for each in range(number)]
    divided = stratified_split.divide(table(), {"test": 0.3, "val": 0.2}, seed, names)
    assert divided.split is not None
    assert len(set(zip(names, divided.split, strict=True))) == number
    assert set(divided.parts) == {"train", "val", "test"}


def test_the_same_seed_gives_the_same_parts():
    shares = {"test": 0.2, "val": 0.1}
    assert (
        stratified_split.divide(table(), shares, 3).split == stratified_split.divide(table(), shares, 3).split
    )
    assert (
        stratified_split.divide(table(), shares, 3).split != stratified_split.divide(table(), shares, 4).split
    )


@pytest.mark.parametrize(
    ("rows", "shares", "names", "said"),
    [
        (9, {"test": 0.5, "val": 0.5}, None, r"leave some for 'train'; they are: test 0.5, val 0.5"),
        (9, {"test": 0.0}, None, "they are: none"),
        (9, {"test": -0.1}, None, "above 0"),
        (2, {"test": 0.2, "val": 0.2}, None, "2 images are too few for 3 parts"),
        (9, {"test": 0.2, "val": 0.2}, ["x", "y"] * 4 + ["x"], "2 groups are too few for 3 parts"),
        (9, {"test": 0.2}, ["x"], "1 groups for 9 images"),
    ],
)
def test_what_cannot_be_divided_is_said(rows, shares, names, said):
    with pytest.raises(ValueError, match=said):
        stratified_split.divide(table(rows), shares, 0, names)


def test_groups_are_a_column_that_is_no_class(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("image,dog,patient\n./a.jpg,1,p1\nb.jpg,0,p2\n")
    name, options = group_column.leaving_out(path, "auto", {}, "patient")
    given = LabelTable.read(path, format=name, **options)
    assert given.classes == ("dog",)
    assert group_column.read_groups(path, given, "patient", options) == ["p1", "p2"]


def test_spaces_around_the_name_of_a_group_are_not_another_group(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("image,labels,patient\na.jpg,dog,p1\nb.jpg,cat, p1 \na.jpg,cat,p1 \n")
    given = LabelTable.read(path, absent="unknown")
    assert group_column.read_groups(path, given, "patient", {}) == ["p1", "p1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,labels,patient\na.jpg,dog,\n", r"t.csv: row 1 \(a.jpg\) has no 'patient'"),
        (
            "image,labels,patient\na.jpg,dog,p\na.jpg,cat,q\n",
            "image 'a.jpg' has both 'p' and 'q' as 'patient'",
        ),
        ("image,labels,patients\na.jpg,dog,p\n", r"no column 'patient' \(did you mean 'patients'\?\)"),
    ],
)
def test_what_is_wrong_with_groups_is_said(tmp_path, text, said):
    path = tmp_path / "t.csv"
    path.write_text(text)
    name, options = group_column.leaving_out(path, "auto", {}, "patient")
    with pytest.raises(ValueError, match=said):
        group_column.read_groups(
            path, LabelTable.read(path, format=name, absent="unknown", **options), "patient", options
        )
    with pytest.raises(
        ValueError, match="groups are a column of a CSV or parquet table; this is read as coco"
    ):
        group_column.leaving_out(path, "coco", {}, "patient")
