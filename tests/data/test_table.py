"""The label table: what it refuses, and that it comes back from disk as it was."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partlabel import ABSENT, PRESENT, UNKNOWN, LabelTable
from partlabel.core.files import atomic_write
from partlabel.data.tables import validation

# beartype looks at a random entry of a tuple, also while hypothesis draws.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

LABELS = np.array([[1, 0, -1], [-1, -1, 1]], np.int8)


def table(**changes) -> LabelTable:
    given_ = {
        "images": ("a.jpg", "b/c.jpg"),
        "classes": ("cat", "dog", "traffic light"),
        "labels": LABELS.copy(),
    }
    return LabelTable(**{**given_, **changes})


# One line of text; anything the outside world may call a class or a file.
text = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
class_name = text.map(str.strip).filter(
    lambda name: name and name not in ("image", "split") and not name.endswith((":p", ":source"))
)
odd_class = st.sampled_from(
    ["a,b", 'say "x"', "^a$", "*", "é", "犬", "👨‍👩‍👧", "path", "Image", "labels", "1", "'", '"', "a;b"]
)
path_part = text.filter(lambda part: "/" not in part and part not in (".", ".."))
odd_path = st.sampled_from(
    ["000005.jpg", "a b.jpg", ' "quoted", too.jpg', "ü/ß.jpg", "1", "nan", "#x.jpg", "..a", "a\\b.jpg"]
)
path = st.one_of(odd_path, st.lists(path_part, min_size=1, max_size=3).map("/".join)).filter(
    lambda name: not (len(name) > 2 and name[1] == ":" and name[2] in "/\\")
)


@st.composite
def tables(draw) -> LabelTable:
    images = draw(st.lists(path, min_size=1, max_size=6, unique=True))
    classes = draw(st.lists(st.one_of(class_name, odd_class), max_size=5, unique=True))
    codes = st.sampled_from([PRESENT, ABSENT, UNKNOWN])
    size = len(images) * len(classes)
    labels = np.array(draw(st.lists(codes, min_size=size, max_size=size)), np.int8).reshape(
        len(images), len(classes)
    )
    parts = st.lists(
        st.sampled_from(["train", "test", "", 'ä, "b"']), min_size=len(images), max_size=len(images)
    )
    split = draw(st.none() | parts.map(tuple))
    return LabelTable(tuple(images), tuple(classes), labels, split)


def assert_same(one: LabelTable, other: LabelTable) -> None:
    assert one.images == other.images
    assert one.classes == other.classes
    assert one.split == other.split
    np.testing.assert_array_equal(one.labels, other.labels)


@pytest.mark.filterwarnings("ignore:.*never present")
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@settings(max_examples=150, deadline=None)
@given(written=tables())
def test_a_table_comes_back_from_disk_as_it_was(written, suffix, tmp_path_factory):
    path = written.save(tmp_path_factory.mktemp("table") / f"t{suffix}")
    assert_same(LabelTable.read(path, format="wide_csv"), written)


def test_a_single_class_called_labels_is_read_where_the_format_is_named_and_refused_otherwise(tmp_path):
    written = LabelTable(("a.jpg", "b.jpg"), ("labels",), np.array([[1], [0]], np.int8))
    path = written.save(tmp_path / "t.csv")
    with pytest.raises(ValueError, match=r"what do 0 and 1 in column 'labels' mean\? .*format='wide_csv'"):
        LabelTable.read(path)
    assert_same(LabelTable.read(path, format="wide_csv"), written)


@settings(max_examples=50, deadline=None)
@given(whole=tables(), data=st.data())
def test_rows_are_chosen_as_numpy_chooses_them(whole, data):
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(whole), max_size=len(whole))))
    if not mask.any():
        with pytest.raises(ValueError, match="without images"):
            whole[mask]
        return
    some = whole[mask]
    assert some.images == tuple(np.array(whole.images, object)[mask])
    np.testing.assert_array_equal(some.labels, whole.labels[mask])
    assert_same(whole[np.flatnonzero(mask)], some)
    assert_same(whole[::-1][::-1], whole)


def test_the_file_has_one_zero_and_nothing_for_spreadsheets(tmp_path):
    written = table(split=("train", "test")).save(tmp_path / "t.csv").read_text()
    assert written == "image,split,cat,dog,traffic light\na.jpg,train,1,0,\nb/c.jpg,test,,,1\n"


def test_parquet_has_nullable_booleans(tmp_path):
    frame = pl.read_parquet(table().save(tmp_path / "t.parquet"))
    assert frame.schema["dog"] == pl.Boolean
    assert frame["dog"].to_list() == [False, None]


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"cannot save a label table as 't.xlsx': end the name in .csv or .parquet"
    ):
        table().save(tmp_path / "t.xlsx")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "t.csv"
    target.write_text("old")

    def fail() -> None:
        with atomic_write(target) as aside:
            aside.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["t.csv"]


def test_nobody_can_write_into_a_table():
    mine = LABELS.copy()
    whole = table(labels=mine)
    mine[0, 0] = ABSENT
    assert whole.labels[0, 0] == PRESENT
    with pytest.raises(ValueError, match="read-only"):
        whole.labels[0, 0] = ABSENT
    with pytest.raises(ValueError, match="read-only"):
        whole[:1].labels[0, 0] = ABSENT


def test_it_counts():
    whole = table()
    assert (whole.known, whole.present, whole.absent, whole.unknown) == (3, 2, 1, 3)
    assert whole.never_present() == ("dog",)
    assert repr(whole.with_split(["train", "test"])) == (
        "LabelTable(2 images, 3 classes, 50.0% known, train 1, test 1)"
    )


def test_parts_are_found_by_name():
    whole = table(split=("train", "test"))
    assert whole.parts == ("train", "test")
    assert whole.part("test").images == ("b/c.jpg",)
    with pytest.raises(
        ValueError, match=r"there is no part 'tset' \(did you mean 'test'\?\); there are: 'train', 'test'"
    ):
        whole.part("tset")
    with pytest.raises(ValueError, match="no split column"):
        table().part("test")


def test_paths_start_from_the_root():
    assert table(root=Path("photos")).path(1) == Path("photos/b/c.jpg")
    with pytest.raises(ValueError, match=r"where is 'a.jpg'\? .* images="):
        table().path(0)


@pytest.mark.parametrize(
    "path", ["../a.jpg", "/etc/passwd", "a/../../b.jpg", "./a.jpg", "a//b.jpg", "C:\\a.jpg", ""]
)
def test_paths_that_leave_the_folder_are_refused(path):
    with pytest.raises(
        ValueError, match=r"1 image path\(s\) do not stay inside the image folder: '.*relative to it"
    ):
        table(images=(path, "b.jpg"))


def test_control_characters_in_paths_are_refused():
    with pytest.raises(ValueError, match=r"control characters, rename them: 'a\\nb.jpg'"):
        table(images=("a\nb.jpg", "b.jpg"))


def test_an_image_has_one_row():
    with pytest.raises(ValueError, match=r"1 image\(s\) have more than one row: 'a.jpg'; keep one row each"):
        table(images=("a.jpg", "a.jpg"))


def test_a_table_has_images():
    with pytest.raises(ValueError, match="a label table without images"):
        LabelTable((), ("cat",), np.empty((0, 1), np.int8))


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        (" dog", "has spaces around it"),
        ("image", "reserved in the table's file"),
        ("split", "reserved in the table's file"),
        ("dog:p", "marks the columns of a filled table"),
        ("do\ng", "has control characters"),
    ],
)
def test_class_names_that_cannot_be_columns_are_refused(name, fault):
    with pytest.raises(ValueError, match=rf"class 1 of 3, .*{fault}.*; rename it"):
        table(classes=("cat", name, "x"))


def test_class_names_are_unique():
    with pytest.raises(ValueError, match=r"class name\(s\) used more than once: 'cat'"):
        table(classes=("cat", "dog", "cat"))


@pytest.mark.parametrize(
    ("labels", "fix"),
    [
        (LABELS.astype(float), r"float64; .*1 present, 0 absent, -1 unknown. For NaN as unknown: np.where"),
        (np.where(LABELS < 0, np.nan, LABELS), "For NaN as unknown"),
        (LABELS.astype(int), "if -1 means absent and 0 unknown, swap them first"),
        (LABELS > 0, "If False means absent"),
    ],
)
def test_matrices_of_another_type_are_refused_with_the_code(labels, fix):
    with pytest.raises(TypeError, match=fix):
        table(labels=labels)


def test_lists_are_refused():
    with pytest.raises(TypeError, match="labels are a list, not a numpy array of int8"):
        validation.check_labels([[1, 0, -1], [0, 0, 0]], ("a.jpg", "b.jpg"), ("x", "y", "z"))


def test_a_fourth_code_is_refused_by_its_place():
    labels = LABELS.copy()
    labels[1, 2] = 2
    with pytest.raises(ValueError, match=r"the first is 2 for image 'b/c.jpg', class 'traffic light'"):
        table(labels=labels)


def test_shapes_have_to_fit():
    with pytest.raises(ValueError, match=r"labels are \(2, 2\), but there are 2 images and 3 classes"):
        table(labels=LABELS[:, :2])
    with pytest.raises(ValueError, match="1 split names for 2 images"):
        table(split=("train",))


def test_hiding_in_one_part_leaves_the_other_whole():
    whole = LabelTable(
        ("a", "b", "c", "d"), ("x",), np.ones((4, 1), np.int8), ("train", "test", "train", "test")
    )
    hidden = whole.hide(known=0.0, part="train")
    assert hidden.labels[:, 0].tolist() == [UNKNOWN, PRESENT, UNKNOWN, PRESENT]
    assert whole.known == 4


def test_a_large_table_is_read_and_written_without_a_loop_over_labels(tmp_path):
    """A Python loop over these 20 million labels would take more than ten seconds; this takes about one."""
    import time

    labels = np.random.default_rng(0).integers(-1, 2, (100_000, 200)).astype(np.int8)
    whole = LabelTable(
        tuple(f"{row}.jpg" for row in range(len(labels))), tuple(f"c{i}" for i in range(200)), labels
    )
    start = time.process_time()
    read = LabelTable.read(whole.save(tmp_path / "t.parquet"))
    assert time.process_time() - start < 10
    assert_same(read, whole)
