"""Problems of a vocabulary: pairs of names read by eye, photos counted by a loop, and a file that parses."""

import numpy as np
import pytest
import yaml

from partlabel import ABSENT, PRESENT, UNKNOWN, LabelTable
from partlabel.audit.vocabulary import SAME_PHOTOS, vocabulary
from partlabel.audit.vocabulary_file import changes_as_yaml
from partlabel.cli.main import main
from partlabel.core.rules import ClassRule, Rules
from partlabel.data import embedders, name_pairs
from partlabel.data.name_pairs import INFLECTION, MEANING, SAME_WORDS, SPELLING
from partlabel.data.tables.closure import close
from partlabel.data.tables.edits_file import read_edits

pytestmark = pytest.mark.filterwarnings("ignore:.*never present", "ignore:.*of the known labels are present")
ANIMAL = Rules((ClassRule("implies", ("poodle", "dog")), ClassRule("implies", ("cat", "animal"))))


class Synonyms:
    """Knows that a sofa is a couch, and puts everything else elsewhere."""

    name = "wordllama"

    def embed(self, names):
        at = {
            name: number
            for number, name in enumerate(dict.fromkeys(n.replace("sofa", "couch") for n in names))
        }
        return np.eye(len(at))[[at[name.replace("sofa", "couch")] for name in names]]


@pytest.fixture(autouse=True)
def synonyms(monkeypatch):
    monkeypatch.setattr(embedders, "automatic", lambda: (Synonyms(), "for the test"))


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("dining_table", "diningTable"), SAME_WORDS),
        (("light, traffic", "Traffic light"), SAME_WORDS),
        (("tv monitor", "tvmonitor"), SAME_WORDS),
        (("dog", "Dogs"), INFLECTION),
        (("wine glasses", "wine-glass"), INFLECTION),
        (("people riding", "person ride"), INFLECTION),
        (("motorcycle", "motorcyle"), SPELLING),
        (("sofa", "couch"), MEANING),
        (("boat", "goat"), None),
        (("platform 1", "platform 2"), None),
        (("dog", "hot dog"), None),
    ],
)
def test_names_that_may_mean_the_same(names, why):
    assert name_pairs.alike(names).get((0, 1)) == why


def table(**columns):
    labels = np.stack([np.array(each, np.int8) for each in columns.values()], 1)
    return LabelTable(tuple(f"{n}.jpg" for n in range(len(labels))), tuple(columns), labels)


def drawn(classes, seed=0, images=300):
    return np.random.default_rng(seed).choice([UNKNOWN, ABSENT, PRESENT], (images, classes)).astype(np.int8)


def test_photos_are_counted_where_both_classes_are_known():
    labels = drawn(2)
    (found,) = vocabulary(table(dog=labels[:, 0], dogs=labels[:, 1])).alike
    one, other = (labels[:, ["dog", "dogs"].index(name)].tolist() for name in (found.one, found.other))
    known = [(a, b) for a, b in zip(one, other, strict=True) if UNKNOWN not in (a, b)]
    assert (
        found.present == (one.count(PRESENT), other.count(PRESENT)) and found.present[0] <= found.present[1]
    )
    assert (found.both, found.either, found.known) == (
        known.count((1, 1)), sum(PRESENT in pair for pair in known), len(known),
    )  # fmt: skip
    assert not found.is_sure


def test_unlike_names_are_found_by_their_photos_alone():
    day = drawn(1)[:, 0]
    light = np.where(np.arange(300) < 290, day, UNKNOWN)
    found = vocabulary(table(day=day, sunshine=light, noise=drawn(1, seed=1)[:, 0])).alike
    assert [(each.one, each.other, each.why) for each in found] == [("sunshine", "day", SAME_PHOTOS)]


def test_a_rule_makes_a_class_superfluous_where_known_labels_say_the_converse_and_labels_of_rules_do_not_count():
    poodle = drawn(1)[:, 0]
    given = table(
        poodle=poodle, dog=np.where(np.arange(300) < 200, poodle, UNKNOWN), cat=poodle, animal=[UNKNOWN] * 300
    )
    closed = close(given, ANIMAL).table
    assert (closed.labels[:, 3] == PRESENT).sum() > 50
    found = vocabulary(closed, ANIMAL)
    (only,) = found.superfluous
    assert (only.one, only.other) == ("poodle", "dog")
    assert only.both == only.either == (poodle[:200] == PRESENT).sum()
    assert [each.name for each in found.rare] == ["animal"]


def test_the_file_has_what_is_sure_and_the_rest_as_comments_that_parse(tmp_path):
    dog = drawn(1)[:, 0]
    given = table(
        **{"dog": dog, "dogs": dog, "Dog": dog, "no": dog * 0, "motorcycle": dog * 0, "motor: cyle": dog * 0}
    )
    written = changes_as_yaml(vocabulary(given), "labels.csv")
    merged = yaml.safe_load(written)["merge"]
    assert len(merged) == 2 and len(set(merged.values())) == 1
    (tmp_path / "changes.yaml").write_text(written)
    tidy, _ = read_edits(tmp_path / "changes.yaml").apply(given)
    assert len(tidy.classes) == 4 and (tidy.labels[:, 0] == dog).all(), "nothing is dropped"
    accepted = [line.replace("  # ", "  ", 1) for line in written.splitlines() if "known" not in line]
    whole = yaml.safe_load("\n".join(accepted))
    assert whole["merge"]["motorcycle"] == "motor: cyle"
    assert set(whole["drop"]) == {"no", "motorcycle", "motor: cyle"}


def test_inspect_writes_the_file_once_and_the_page_has_what_it_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    labels = drawn(3)
    table(dog=labels[:, 0], dogs=labels[:, 1], cat=labels[:, 2]).save("labels.csv")
    assert main(["inspect", "labels.csv", "--vocabulary", "--out", "page.html"]) == 0
    assert "dogs: inflection; present in" in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text()
    assert 'id="vocabulary"' in page and '<td style="text-align:left">inflection</td>' in page
    assert yaml.safe_load((tmp_path / "vocabulary-proposed.yaml").read_text()) == {
        "merge": None,
        "drop": None,
    }
    assert main(["inspect", "labels.csv", "--vocabulary"]) == 2
    assert "vocabulary-proposed.yaml, which exists" in capsys.readouterr().err
