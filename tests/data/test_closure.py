"""Closure of a table: what follows has a source of its own and can be taken back; people's labels stay."""

import numpy as np
import pytest

from partlabel import ABSENT, PRESENT, UNKNOWN, LabelTable
from partlabel.core.rules import ClassRule, Rules
from partlabel.data.tables.closure import close, count_conflicts, without_rule_labels
from partlabel.data.tables.provenance import Origins

CLASSES = ("dog", "animal", "day", "night")
RULES = Rules((ClassRule("implies", ("dog", "animal")), ClassRule("excludes", ("day", "night"))))


def table(*rows, classes=CLASSES):
    return LabelTable(tuple(f"{n}.jpg" for n in range(len(rows))), classes, np.array(rows, np.int8))


def test_what_follows_is_added_with_its_source():
    found = close(table([1, -1, 1, -1], [-1, 0, -1, -1]), RULES)
    assert found.table.labels.tolist() == [[1, 1, 1, 0], [0, 0, -1, -1]]
    assert found.added == {"implies": 2, "excludes": 1, "one_of": 0}
    assert [found.table.origins.of(0, column) for column in range(4)] == [
        "",
        "rule:implies",
        "",
        "rule:excludes",
    ]
    assert found.sentence == (
        "rules: 3 unknown labels follow from known ones (2 by implies, 1 by excludes); 0 images have labels that "
        "contradict rules"
    )


def test_it_is_reversible_also_through_a_file(tmp_path):
    before = table([1, -1, 1, -1], [-1, 0, -1, -1])
    closed = close(before, RULES).table
    assert (without_rule_labels(closed).labels == before.labels).all() and without_rule_labels(
        closed
    ).origins is None
    again = LabelTable.read(closed.save(tmp_path / "closed.csv"))
    assert (without_rule_labels(again).labels == before.labels).all()
    twice = close(again, RULES)
    assert (twice.table.labels == closed.labels).all() and twice.added["implies"] == 2, (
        "derived anew, not twice"
    )
    assert (close(again, Rules(())).table.labels == before.labels).all(), (
        "a rule that is gone concludes nothing"
    )


def test_labels_of_people_stay_and_their_contradiction_is_listed():
    origins = Origins(np.array([[1, 2, 0, 0]], np.uint8), ("", "human", "bce@a"))
    found = close(table([1, 0, -1, -1]).with_origins(origins), RULES)
    assert found.table.labels.tolist() == [[1, 0, -1, -1]] and found.images_in_conflict == 1
    assert found.lines() == ["  0.jpg: dog present, animal absent (dog => animal); from human and bce@a"]
    assert count_conflicts(found.conflicts) == [("dog => animal", 1)]


def test_classes_can_be_added():
    rules = Rules((ClassRule("implies", ("dog", "animal")),), adds=("animal",))
    found = close(table([1], [0], classes=("dog",)), rules).table
    assert found.classes == ("dog", "animal") and found.labels.tolist() == [
        [PRESENT, PRESENT],
        [ABSENT, UNKNOWN],
    ]


def test_a_misspelled_class_is_refused():
    with pytest.raises(ValueError, match=r"the table has no class 'anmal' \(did you mean 'animal'\?\)"):
        close(table([1, 1, 1, 1]), Rules((ClassRule("implies", ("dog", "anmal")),)))
