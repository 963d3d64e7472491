"""Proposed rules: counts by hand, intervals by scipy's own test, and a file that the reader of rules takes."""

import numpy as np
import pytest
from scipy.stats import binomtest

from partlabel import ABSENT, PRESENT, UNKNOWN, LabelTable
from partlabel.audit.rule_proposals import as_yaml, interval, propose
from partlabel.cli.main import main
from partlabel.data import rules

pytestmark = pytest.mark.filterwarnings("ignore:.*never present")


def table(broken=0):
    """400 images: dog => animal => alive, puppy => dog; day or night; a few sofas outdoors."""
    random = np.random.default_rng(0)
    columns = {}
    columns["puppy"] = random.random(400) < 0.2
    columns["dog"] = columns["puppy"] | (random.random(400) < 0.2)
    columns["animal"] = columns["dog"] | (random.random(400) < 0.2)
    columns["day"] = random.random(400) < 0.5
    columns["night"] = ~columns["day"]
    columns["noise"] = random.random(400) < 0.3
    labels = np.where(np.stack([*columns.values()], 1), PRESENT, ABSENT).astype(np.int8)
    dogs = np.flatnonzero(columns["dog"] & ~columns["puppy"])[:broken]
    labels[dogs, 2] = ABSENT
    return LabelTable(tuple(f"{n}.jpg" for n in range(400)), tuple(columns), labels)


def said(found):
    return [each.sentence.partition(":")[0] for each in found]


def test_rules_are_found_and_those_that_follow_are_left_out():
    assert said(propose(table())) == ["puppy => dog", "dog => animal", "one of day, night"]


def test_support_and_counter_examples_are_those_that_are_counted():
    made = table(broken=2)
    (found,) = [each for each in propose(made) if each.classes == ("dog", "animal")]
    dogs = made.labels[:, 1] == PRESENT
    against = np.flatnonzero(dogs & (made.labels[:, 2] == ABSENT))
    assert (found.right, found.of) == (dogs.sum() - 2, dogs.sum())
    assert found.against == tuple(f"{row}.jpg" for row in against)


def test_unknown_labels_do_not_count():
    made = table()
    labels = made.labels.copy()
    labels[20:, 2] = UNKNOWN
    few = made.with_labels(labels)
    assert "dog => animal" not in said(propose(few))


@pytest.mark.parametrize(("right", "of"), [(412, 412), (98, 101), (0, 5), (3, 7)])
def test_the_interval_is_the_exact_one(right, of):
    expected = binomtest(right, of).proportion_ci(0.95, "exact")
    np.testing.assert_allclose(interval(np.array(float(right)), np.array(float(of))), expected, atol=1e-9)


def test_the_file_is_read_as_rules_and_doubtful_ones_are_comments(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(as_yaml(propose(table(broken=2)), "labels.csv"))
    assert [str(rule) for rule in rules.read(path).rules] == ["puppy => dog", "one of day, night"]
    assert "# dog: [animal]" in path.read_text() and "; not in " in path.read_text()


def test_inspect_writes_proposals_and_counts_contradictions(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table(broken=2).save("labels.csv")
    assert main(["inspect", "labels.csv", "--rules", "auto"]) == 0
    assert "3 rules proposed, in rules-proposed.yaml:" in capsys.readouterr().out
    assert main(["inspect", "labels.csv", "--rules", "auto"]) == 2
    assert "rename it to rules.yaml, or remove it" in capsys.readouterr().err
    (tmp_path / "rules.yaml").write_text("implies: {dog: [animal]}")
    assert main(["inspect", "labels.csv"]) == 0
    said_now = capsys.readouterr().out
    assert "2 images have labels that contradict rules" in said_now
    assert "dog present, animal absent (dog => animal)" in said_now
    assert "  2 times against: dog => animal" in said_now
