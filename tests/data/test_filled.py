"""Filled tables: known labels stay, sources stay, and what is saved is read again."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from partlabel import ABSENT, PRESENT, UNKNOWN, LabelTable
from partlabel.data.tables.filled import FilledTable, fill

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*never present"),
    pytest.mark.filterwarnings("ignore:Do not use the `random` module"),
]

LABELS = np.array([[1, -1, -1], [-1, 0, -1]], np.int8)
PROBABILITY = np.array([[0.1, 0.99, 0.5], [0.01, 0.9, 0.98]])


def table(labels=LABELS, split=None):
    return LabelTable(tuple(f"{row}.jpg" for row in range(len(labels))), tuple("abc"), labels, split)


def test_sure_blanks_become_labels_and_the_others_keep_their_probability():
    filled = fill(table(), PROBABILITY, accept=0.98, reject=0.02, model="sst@runs/a")
    assert filled.table.labels.tolist() == [[1, 1, -1], [0, 0, 1]]
    np.testing.assert_array_equal(filled.probability, np.float32([[np.nan, 0.99, 0.5], [0.01, np.nan, 0.98]]))
    words = [[filled.source_of(row, column) for column in range(3)] for row in range(2)]
    assert words == [["human", "sst@runs/a", "sst@runs/a"], ["sst@runs/a", "human", "sst@runs/a"]]
    assert "2 by human, 4 by sst@runs/a" in repr(filled)


def test_without_thresholds_no_label_is_made():
    filled = fill(table(), PROBABILITY)
    np.testing.assert_array_equal(filled.table.labels, LABELS)


def test_either_threshold_alone():
    assert fill(table(), PROBABILITY, accept=0.98).table.labels.tolist() == [[1, 1, -1], [-1, 0, 1]]
    assert fill(table(), PROBABILITY, reject=0.02).table.labels.tolist() == [[1, -1, -1], [0, 0, -1]]


@given(
    arrays(np.int8, (4, 3), elements=st.integers(-1, 1)),
    arrays(np.float64, (4, 3), elements=st.floats(0, 1)),
    st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted).filter(lambda ends: ends[0] < ends[1]),
)
def test_known_labels_are_never_touched(labels, probability, ends):
    reject, accept = ends
    filled = fill(table(labels), probability, accept=accept, reject=reject)
    known = labels != UNKNOWN
    after = filled.table.labels
    np.testing.assert_array_equal(after[known], labels[known])
    np.testing.assert_array_equal(filled.source == 1, known)
    np.testing.assert_array_equal(np.isnan(filled.probability), known)
    blank = ~known
    np.testing.assert_array_equal((after == PRESENT) & blank, blank & (probability >= accept))
    np.testing.assert_array_equal((after == ABSENT) & blank, blank & (probability <= reject))


def test_a_second_fill_keeps_who_said_what_before():
    first = fill(table(), PROBABILITY, accept=0.98, reject=0.02, model="a@1")
    second = fill(first, np.full((2, 3), 0.97), accept=0.9, model="b@2")
    assert second.source_of(0, 0) == "human"
    assert second.source_of(0, 1) == "a@1"
    assert second.source_of(0, 2) == "b@2"
    assert second.probability[0, 1] == np.float32(0.99)
    assert second.table.labels[0, 2] == PRESENT


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@given(data=st.data())
def test_a_filled_table_comes_back_from_disk(data, suffix, tmp_path_factory):
    labels = data.draw(arrays(np.int8, (4, 3), elements=st.integers(-1, 1)))
    probability = data.draw(arrays(np.float32, (4, 3), elements=st.floats(0, 1, width=32)))
    split = data.draw(st.none() | st.just(("train", "train", "test", "")))
    written = fill(table(labels, split), probability, accept=0.9, reject=0.1, model='sst, v1@run "x"')
    path = written.save(tmp_path_factory.mktemp("filled") / f"t{suffix}")
    read = FilledTable.load(path)
    np.testing.assert_array_equal(read.table.labels, written.table.labels)
    np.testing.assert_array_equal(read.probability, written.probability)
    assert read.table.split == written.table.split
    for row, column in np.ndindex(4, 3):
        assert read.source_of(row, column) == written.source_of(row, column)
    plain = LabelTable.read(path)
    assert plain.classes == tuple("abc")
    np.testing.assert_array_equal(plain.labels, written.table.labels)


def test_what_a_filled_csv_looks_like(tmp_path):
    one = LabelTable(("0.jpg",), ("a", "b"), np.array([[1, -1]], np.int8))
    text = fill(one, np.array([[0.2, 0.25]]), model="sst@a").save(tmp_path / "t.csv").read_text()
    assert text == "image,a,a:p,a:source,b,b:p,b:source\n0.jpg,1,,human,,0.25,sst@a\n"


def test_json_lines_are_for_other_programs(tmp_path):
    path = fill(table(split=("train", "tést")), PROBABILITY, accept=0.98, model="sst@a").save(
        tmp_path / "t.jsonl"
    )
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert lines[1] == {
        "image": "1.jpg",
        "split": "tést",
        "labels": {
            "a": {"label": None, "p": 0.01, "source": "sst@a"},
            "b": {"label": 0, "p": None, "source": "human"},
            "c": {"label": 1, "p": 0.98, "source": "sst@a"},
        },
    }


def test_a_plain_table_loads_as_one_that_people_filled(tmp_path):
    loaded = FilledTable.load(table().save(tmp_path / "t.csv"))
    np.testing.assert_array_equal(loaded.source, LABELS != UNKNOWN)
    assert np.isnan(loaded.probability).all()


def test_a_probability_that_is_none_is_named_by_its_place(tmp_path):
    (tmp_path / "t.csv").write_text("image,a,a:p\nx.jpg,,0.5\ny.jpg,,1.5\n")
    with pytest.raises(
        ValueError, match=r"t.csv: column 'a:p', row 2: '1.5' is not a probability in \[0, 1\]"
    ):
        FilledTable.load(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"accept": 0.2, "reject": 0.3},
            r"accept=0.2 and reject=0.3: thresholds are 0 <= reject < accept <= 1",
        ),
        ({"accept": 1.5}, "accept=1.5"),
        ({"accept": float("nan")}, "accept=nan"),
        ({"model": "human"}, "model='human' does not tell a model's labels from a person's"),
        (
            {"probability": PROBABILITY * 3},
            r"the first is 2.9.* for image '0.jpg', class 'b'; give probabilities",
        ),
        ({"probability": np.full((2, 3), np.nan)}, r"4 probabilities are not in \[0, 1\]"),
        ({"probability": PROBABILITY[:1]}, r"probabilities are \(1, 3\) for a table of \(2, 3\) labels"),
    ],
)
def test_what_cannot_be_filled_is_said(options, said):
    with pytest.raises(ValueError, match=said):
        fill(table(), **{"probability": PROBABILITY, **options})


def test_filling_changes_neither_the_table_nor_the_probabilities():
    before, probability = table(), PROBABILITY.copy()
    fill(before, probability, accept=0.5, reject=0.4)
    np.testing.assert_array_equal(before.labels, LABELS)
    np.testing.assert_array_equal(probability, PROBABILITY)
    assert probability.flags.writeable


def test_rows_and_columns_keep_what_was_said_of_them():
    filled = fill(table(), PROBABILITY, accept=0.98, model="a@1")
    some = filled[[1]].aligned(("c", "a", "b"))
    assert some.table.images == ("1.jpg",) and some.table.labels.tolist() == [[1, -1, 0]]
    np.testing.assert_array_equal(some.probability, np.float32([[0.98, 0.01, np.nan]]))
    assert [some.source_of(0, column) for column in range(3)] == ["a@1", "a@1", "human"]


def test_blanks_that_the_rule_makes_absent_are_not_laid_to_the_model(tmp_path):
    path = fill(table(), PROBABILITY, accept=0.98, model="a@1").save(tmp_path / "t.csv")
    loaded = FilledTable.load(path, absent="negative")
    assert loaded.table.labels.tolist() == [[1, 1, 0], [0, 0, 1]]
    said = [[loaded.source_of(row, column) for column in range(3)] for row in range(2)]
    assert said == [["human", "a@1", "not mentioned"], ["not mentioned", "human", "a@1"]]
    np.testing.assert_array_equal(
        loaded.probability, np.float32([[np.nan, 0.99, np.nan], [np.nan, np.nan, 0.98]])
    )
