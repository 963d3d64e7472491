"""Twenty thousand classes, forty thousand images with a fault: what is quadratic in them would take minutes."""

import json
import signal
from contextlib import contextmanager

import numpy as np
import pytest

from partlabel.audit.inspection import count_parts
from partlabel.core.messages import did_you_mean
from partlabel.data.tables.filled import FilledTable
from partlabel.data.tables.label_table import LabelTable, made_read_only
from partlabel.data.tables.splits import aligned
from partlabel.data.tables.validation import repeated

CLASSES = tuple(f"class number {number}" for number in range(20_000))
LIMIT = 150
"""Seconds, on a machine however busy; each takes about one, and took from half a minute to hours."""


@contextmanager
def in_no_time():
    def late(*_):
        raise AssertionError(f"more than {LIMIT} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="alarms of Unix")


def header(tmp_path, *more):
    path = tmp_path / "t.csv"
    path.write_text(f"image,{','.join((*CLASSES, *more))}\na.jpg,{','.join('1' * (20_000 + len(more)))}\n")
    return path


def test_a_header_of_many_classes_with_a_fault_is_refused(tmp_path):
    with in_no_time():
        with pytest.raises(ValueError, match="two columns have the same name: 'class number 7'"):
            LabelTable.read(header(tmp_path, CLASSES[7]))
        with pytest.raises(ValueError, match=r"class name.s. used more than once: 'class number 7'"):
            LabelTable(("a.jpg",), (*CLASSES, CLASSES[7]), np.zeros((1, 20_001), np.int8))


def test_a_table_whose_classes_are_called_by_number_is_read_in_one_pass(tmp_path):
    numbered = [f"class {number}" for number in range(20_000)]
    (tmp_path / "t.csv").write_text(f"image,{','.join(numbered)}\na.jpg,{','.join('1' * 20_000)}\n")
    with in_no_time():
        assert LabelTable.read(tmp_path / "t.csv").classes == tuple(numbered)


def test_many_columns_that_hold_no_labels_are_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(f"image,{','.join(CLASSES)}\na.jpg,{','.join(['maybe'] * 20_000)}\n")
    with (
        in_no_time(),
        pytest.raises(ValueError, match="'class number 4' and 19995 more hold no labels, such as"),
    ):
        LabelTable.read(path)


def test_a_filled_table_of_many_classes_is_read(tmp_path):
    with in_no_time():
        assert FilledTable.load(header(tmp_path)).table.classes == CLASSES


def test_columns_of_many_classes_are_put_in_another_order():
    table = LabelTable(("a.jpg",), CLASSES, made_read_only(np.ones((1, 20_000), np.int8)))
    with in_no_time():
        assert aligned(table, CLASSES[::-1]).classes == CLASSES[::-1]
        assert FilledTable.of(table).aligned(CLASSES[::-1]).table.classes == CLASSES[::-1]
        with pytest.raises(ValueError, match="class 'clas number 1' is in the model but not in"):
            aligned(table, ("clas number 1", *CLASSES[1:]))


@pytest.mark.parametrize("fault", ["one", "all"])
def test_a_coco_file_of_many_images_with_a_fault_is_refused(tmp_path, fault):
    images = [
        {"id": 3 if fault == "all" else number, "file_name": f"{number}.jpg"} for number in range(40_000)
    ]
    images[-1]["id"] = 3
    content = {"images": images, "categories": [{"id": 1, "name": "cat"}], "annotations": []}
    (tmp_path / "c.json").write_text(json.dumps(content))
    with (
        in_no_time(),
        pytest.raises(ValueError, match="ids that occur more than once in 'images': 3; make them unique"),
    ):
        LabelTable.read(tmp_path / "c.json", absent="negative")


def test_a_table_of_many_parts_is_shown_and_counted():
    images = tuple(f"{number}.jpg" for number in range(40_000))
    split = tuple(f"part {number}" for number in range(40_000))
    table = LabelTable(images, ("cat",), made_read_only(np.ones((40_000, 1), np.int8)), split=split)
    with in_no_time():
        assert repr(table).endswith("part 19 1 and 39980 more parts)")
        assert len(count_parts(table)) == 40_000


def test_parts_are_counted_as_one_by_one():
    labels = np.array([[1, -1], [0, 1], [1, 1], [-1, -1]], np.int8)
    split = ("train", "val", "train", "val")
    table = LabelTable(("a", "b", "c", "d"), ("cat", "dog"), made_read_only(labels), split=split)
    for part in count_parts(table):
        alone = table.part(part.name)
        whole = int((alone.labels != -1).all(axis=1).sum())
        assert part[1:] == (len(alone), alone.present, alone.absent, alone.unknown, whole)
    assert count_parts(LabelTable(("a",), ("cat",), np.ones((1, 1), np.int8))) == ()


def test_what_is_repeated_is_named_once_in_order():
    assert repeated(["b", "a", "b", "c", "a", "b"]) == ["a", "b"]
    assert repeated([1, "1", 1]) == [1]


def test_the_nearest_of_very_many_words_is_looked_for_among_the_first():
    with in_no_time():
        assert did_you_mean("class number 77x", CLASSES) == " (did you mean 'class number 77'?)"
        assert did_you_mean("x" * 1_000_000, CLASSES) == ""
