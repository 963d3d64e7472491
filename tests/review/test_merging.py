"""Decisions put back into a table."""

import numpy as np
import polars as pl
import pytest

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.provenance import Origins
from partlabel.review import merging
from partlabel.review.events import Event, Tally

P, A, U = PRESENT, ABSENT, UNKNOWN


@pytest.fixture
def table():
    labels = np.array([[P, U], [U, U]], np.int8)
    return LabelTable(("a.jpg", "b.jpg"), ("dog", "cat"), labels, ("train", "val"))


def tally(*said):
    """Build a tally of decisions (person, answer, image, class), in that order."""
    found = Tally()
    for number, (who, image, cls, what) in enumerate(said, start=1):
        found.add(Event(number, f"2026-01-01T00:00:{number:02}", who, who, image, cls, what, None, 0.5))
    return found


def test_decisions_become_known_labels_and_skips_do_not(table):
    said = tally(
        ("Ada", "a.jpg", "cat", "present"), ("Ada", "b.jpg", "dog", "absent"), ("Ada", "b.jpg", "cat", "skip")
    )
    merged = merging.merge(table, said)
    assert merged.table.labels.tolist() == [[P, P], [A, U]]
    assert merged.table.split == ("train", "val")
    assert merged[1:] == (1, 1, [], 0, 0, 0)


def test_labels_say_who_decided_them_and_those_of_the_table_where_they_came_from(table):
    before = Origins(np.array([[1, 0], [0, 0]], np.uint8), ("", "human"))
    said = tally(
        ("Ada", "a.jpg", "cat", "present"),
        ("Ada", "b.jpg", "dog", "absent"),
        ("Bob", "b.jpg", "dog", "present"),
    )
    merged = merging.merge(table.with_origins(before), said).table
    assert merged.origins is not None
    found = [[merged.origins.of(row, column) for column in (0, 1)] for row in (0, 1)]
    assert found == [["human", "review:Ada"], ["review:Bob", ""]]
    assert merging.merge(table, tally()).table.origins is None, "nobody decided anything"


@pytest.mark.parametrize(("disputed", "label"), [("later", A), ("blank", U)])
def test_of_a_dispute_the_later_stands_or_nothing_and_all_sides_are_listed(table, disputed, label, tmp_path):
    said = tally(("Ada", "b.jpg", "dog", "present"), ("Bob", "b.jpg", "dog", "absent"))
    merged = merging.merge(table, said, disputed)
    assert merged.table.labels[1, 0] == label
    assert merged.disputed == 1
    listed = pl.read_csv(merging.save_disputes(merged.disputes, tmp_path / "d.csv"))
    assert listed.columns == ["image", "class", "who", "what", "at", "stands"]
    assert listed["who"].to_list() == ["Ada", "Bob"]
    assert listed["what"].to_list() == ["present", "absent"]
    assert set(listed["stands"]) == {"absent" if disputed == "later" else "unknown"}


def test_what_the_table_knows_stays_and_who_disagrees_with_it_is_listed(table):
    merged = merging.merge(table, tally(("Ada", "a.jpg", "dog", "absent")))
    assert merged.table.labels[0, 0] == P
    assert [(side.who, side.what, side.stands) for side in merged.disputes] == [
        ("the table", "present", "present"),
        ("Ada", "absent", "present"),
    ]
    assert merging.merge(table, tally(("Ada", "a.jpg", "dog", "present"))).disputes == []


def test_decisions_about_other_images_and_classes_are_counted(table):
    said = tally(("Ada", "z.jpg", "dog", "absent"), ("Ada", "a.jpg", "cow", "absent"))
    assert merging.merge(table, said).elsewhere == 2
