"""Properties of the readers of tables: a table that is written, permuted, renamed or encoded again reads the same."""

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partlabel import LabelTable
from partlabel.data import readers
from partlabel.data.readers import _cells, _roles
from partlabel.data.writers import write

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*never present"),
    pytest.mark.filterwarnings("ignore:.*read as a class, although"),
    pytest.mark.filterwarnings(
        "ignore:Do not use the `random` module"
    ),  # beartype does, when it checks a table
]
SOMEWHERE_ELSE = {
    *_roles.IMAGES,
    *_roles.LABELS,
    *_roles.METADATA,
    "image",
    "split",
    "present",
    "absent",
    "source",
}
LETTERS = st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters="|;,\ufeff")


def is_a_class(name):
    """Return whether a name is plausible as a class, and is no name of a column of another kind."""
    number = _roles.NUMBERED.fullmatch(name) or _roles._ROW_NUMBER.fullmatch(name)
    plain = _roles.plain(name) not in SOMEWHERE_ELSE and not number and not name.endswith((":p", ":source"))
    return plain and not name.isdigit() and not _cells.fault_of(name) and name.lower() not in _cells.NOTHING


NAMES = st.lists(
    st.lists(st.text(LETTERS, min_size=1, max_size=6), min_size=1, max_size=2)
    .map(" ".join)
    .filter(is_a_class),
    min_size=1,
    max_size=5,
    unique=True,
)
IMAGES = st.lists(
    st.text("abcdefgh 0123456789éß日_-", min_size=1, max_size=8)
    .filter(lambda name: name == name.strip())
    .map("{}.jpg".format),
    min_size=2,
    max_size=6,
    unique=True,
)


def listed(of, number):
    """Lists of the given length."""
    return st.lists(of, min_size=number, max_size=number)


@st.composite
def label_tables(draw, codes=(-1, 0, 1)):
    images, classes = draw(IMAGES), draw(NAMES)
    labels = draw(listed(listed(st.sampled_from(codes), len(classes)), len(images)))
    split = draw(st.none() | listed(st.sampled_from(["train", "val", "test"]), len(images)))
    parts = None if split is None else tuple(split)
    return LabelTable(tuple(images), tuple(classes), np.array(labels, np.int8), parts)


def same(one, other):
    """Return whether two tables are equal, except for the order of their classes and images."""
    assert set(one.images) == set(other.images) and set(one.classes) == set(other.classes)
    rows = [other.images.index(image) for image in one.images]
    columns = [other.classes.index(name) for name in one.classes]
    np.testing.assert_array_equal(one.labels, other.labels[np.ix_(rows, columns)])
    if one.split is not None:
        assert one.split == tuple(other.split[row] for row in rows)
    return True


def spelled(draw, code):
    """One of the ways to write a label."""
    ways = {
        1: ["1", "1.0", "true", "TRUE", " 1"],
        0: ["0", "0.0", "False"],
        -1: ["", "NaN", "N/A", "null", "None"],
    }
    return draw(st.sampled_from(ways[code]))


def as_choices(names):
    """A list as Label Studio's CSV has it."""
    return json.dumps({"choices": names})


def as_csv(rows, delimiter=","):
    """Rows as CSV text."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows(rows)
    return text.getvalue()


@settings(max_examples=40)
@given(label_tables(), st.sampled_from(["t.csv", "t.parquet", "t.CSV"]))
def test_a_table_that_is_saved_reads_the_same(table, name):
    with TemporaryDirectory() as folder:
        read = LabelTable.read(table.save(Path(folder) / name))
    assert same(table, read) and read.classes == table.classes and read.images == table.images


@settings(max_examples=40)
@given(label_tables())
def test_a_table_that_is_written_as_json_lines_reads_the_same(table):
    with TemporaryDirectory() as folder:
        path = write(table, Path(folder) / "t.jsonl")
        if not (table.labels != -1).any():
            return
        read = LabelTable.read(path, absent="unknown", classes=list(table.classes))
    assert same(table, read)


@settings(max_examples=60)
@given(st.data())
def test_order_names_spelling_and_encoding_of_a_wide_table_do_not_matter(data):
    table = data.draw(label_tables())
    image = data.draw(st.sampled_from(["image", "file_name", "Image Index", "fname", "filepath", "image_id"]))
    head = [image, *(["split"] if table.split else []), *table.classes]
    rows = [
        [
            name,
            *([table.split[at]] if table.split else []),
            *(spelled(data.draw, code) for code in table.labels[at].tolist()),
        ]
        for at, name in enumerate(table.images)
    ]
    rows = data.draw(st.permutations(rows))
    order = data.draw(st.permutations(range(len(head))))
    permuted = [[row[at] for at in order] for row in (head, *rows)]
    tab = data.draw(st.booleans())
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    with TemporaryDirectory() as folder:
        path = Path(folder) / ("t.tsv" if tab else "t.csv")
        path.write_bytes(as_csv(permuted, "\t" if tab else ",").encode(encoding))
        assert readers.recognise(path) == "wide_csv"
        assert same(table, LabelTable.read(path))


@settings(max_examples=60)
@given(st.data())
def test_a_long_table_reads_the_same_whatever_writes_its_lists(data):
    table = data.draw(label_tables(codes=(0, 1)).filter(lambda table: (table.labels == 1).any(axis=0).all()))
    names_of = [[name for name, code in zip(table.classes, row, strict=True) if code] for row in table.labels]
    writers = {"json": json.dumps, "python": str, "|": "|".join, ";": ";".join, "choices": as_choices}
    writer = data.draw(st.sampled_from(sorted(writers)))
    column = data.draw(st.sampled_from(["labels", "Labels", "tags", "label", "classes", "Finding Labels"]))
    image = data.draw(st.sampled_from(["image", "file_name", "Image Index"]))
    texts = [writers[writer](names) for names in names_of]
    alone = writer in "|;" and not any(writer in text for text in texts)  # then spaces are asked about
    rows = [[column, image], *([text, name] for text, name in zip(texts, table.images, strict=True))]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        path.write_text(as_csv(rows), encoding="utf-8")
        options = {"delimiter": writer} if alone else {}
        read = LabelTable.read(path, format="long_csv", absent="negative", **options)
    assert same(LabelTable(table.images, table.classes, table.labels), read)


@settings(max_examples=40)
@given(label_tables(codes=(0, 1)), st.sampled_from(["records", "mapping", "lines"]))
def test_lists_in_json_read_the_same_in_every_shape(table, shape):
    names_of = [[name for name, code in zip(table.classes, row, strict=True) if code] for row in table.labels]
    pairs = list(zip(table.images, names_of, strict=True))
    entries = [{"file_name": image, "labels": names} for image, names in pairs]
    text = {
        "records": json.dumps(entries),
        "mapping": json.dumps(dict(pairs)),
        "lines": "\n".join(map(json.dumps, entries)),
    }[shape]
    with TemporaryDirectory() as folder:
        path = Path(folder) / ("t.jsonl" if shape == "lines" else "t.json")
        path.write_text(text, encoding="utf-8")
        read = LabelTable.read(path, absent="negative", classes=list(table.classes))
    assert same(LabelTable(table.images, table.classes, table.labels), read)


@settings(max_examples=30)
@given(label_tables(codes=(0, 1)))
def test_lists_in_parquet_read_the_same(table):
    names_of = [[name for name, code in zip(table.classes, row, strict=True) if code] for row in table.labels]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        schema = {"image": pl.String, "labels": pl.List(pl.String)}
        pl.DataFrame({"image": table.images, "labels": names_of}, schema=schema).write_parquet(path)
        read = LabelTable.read(path, absent="negative", classes=list(table.classes))
    assert same(LabelTable(table.images, table.classes, table.labels), read)


@settings(max_examples=60)
@given(st.lists(st.text(LETTERS, min_size=1, max_size=8).filter(is_a_class), max_size=4))
def test_a_list_is_the_same_from_python_json_and_numpy(names):
    reading = _cells.Reading(Path("t.csv"), "labels", str)
    for text in (str(names), json.dumps(names), json.dumps(names, ensure_ascii=False), str(tuple(names))):
        assert reading.names_of([text])[text] == tuple(names)
    with np.printoptions(threshold=100, linewidth=10_000):
        text = str(np.array(names, dtype=object))
        assert reading.names_of([text])[text] == tuple(names)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl"])
def test_latin_1_is_refused_by_the_name_of_the_file(tmp_path, name):
    text = '{"image": "é.jpg", "present": ["owl"]}\n' if name == "t.jsonl" else "image\towl\né.jpg\t1\n"
    text = text if name != "t.csv" else text.replace("\t", ",")
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=rf"{name}: .*UTF-?8"):
        LabelTable.read(tmp_path / name, absent="unknown" if name == "t.jsonl" else None)
    (tmp_path / name).write_bytes(text.encode("utf-16"))
    assert LabelTable.read(tmp_path / name, absent="unknown").images == ("é.jpg",)
