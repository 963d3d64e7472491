"""New classes on a trained tagger: old ones stay as they are, new ones come from few labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from partlabel import LabelTable, Tagger
from partlabel.cli.main import main
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.rules import ClassRule, Rules
from partlabel.data.tables.joining import join
from partlabel.data.tables.provenance import Origins
from partlabel.posthoc import tuning
from partlabel.selection.candidates import Rule
from partlabel.training import extension
from partlabel.training.run_folder import Run
from small import SMALL

OLD, NEW = ("red", "green", "blue"), "yellow"


def columns(table, names, labels=None):
    """The table with some of its classes, or with other labels of these."""
    if labels is None:
        labels = table.labels[:, [table.classes.index(name) for name in names]]
    return replace(table, classes=tuple(names), labels=labels)


@pytest.fixture
def table(drawn):
    return drawn


@pytest.fixture(scope="module")
def run(drawn, tmp_path_factory):
    """A run of three of the four classes, tuned, with a rule between two of them."""
    out = tmp_path_factory.mktemp("runs") / "old"
    rules = Rules((ClassRule("implies", ("red", "green")),))
    tagger = Tagger(OLD, "bce", **SMALL).fit(columns(drawn, OLD), out=out, rules=rules)
    tuning.tune(tagger, aim="recall", at=0.8).save(Run(out).tuning)
    return out


@pytest.fixture(scope="module")
def presences(drawn):
    """Six photos that are known to show the new class, and nothing else."""
    column = drawn.labels[:, drawn.classes.index(NEW)]
    rows = np.flatnonzero((column == PRESENT) & (np.array(drawn.split) == "train"))[:6]
    return columns(drawn, [NEW])[rows]


@pytest.fixture(scope="module")
def extended(run, presences, tmp_path_factory):
    """The run with the new class, as the command writes it."""
    out = tmp_path_factory.mktemp("runs") / "new"
    presences.save(out.parent / "more.csv")
    assert main(["extend", str(run), "--labels", str(out.parent / "more.csv"), "--out", str(out)]) == 0
    return out


def test_old_classes_are_the_same_to_the_last_bit(run, extended, table):
    before, after = Tagger.load(run), Tagger.load(extended)
    assert after.classes == (*OLD, NEW) and after.name == "bce@new"
    images = torch.randn(5, 3, 32, 32)
    assert torch.equal(before.model(images), after.model(images)[:, :3])
    sure = [each.predict(table.root).drop("image").to_numpy() for each in (before, after)]
    assert np.array_equal(sure[0], sure[1][:, :3]), "probabilities too: their calibration is that of before"
    assert after.tuning.thresholds[:3] == before.tuning.thresholds
    assert after.rules == before.rules and (after.tuning.aim, after.tuning.at) == ("recall", 0.8)
    assert np.array_equal(after.out_of_fold.logits[:, :3], before.out_of_fold.logits)


def test_a_class_with_presences_alone_is_not_found_everywhere(extended, table):
    tagger = Tagger.load(extended)
    sure = 1 / (1 + np.exp(-tagger.scores(table)[:, 3]))
    assert 0.1 < sure.mean() < 0.4, "6 of 24 training photos are known to show it"
    shown = table.labels[:, table.classes.index(NEW)]
    assert sure[shown == PRESENT].mean() > sure[shown == ABSENT].mean()
    assert (tagger.out_of_fold.logits[:, 3] > 0).mean() < 0.5


def test_an_extended_tagger_is_extended_again_and_does_all_else(extended, table, tmp_path):
    tagger = Tagger.load(extended)
    labels = np.full((len(table), 1), ABSENT, np.int8)
    labels[::3] = PRESENT
    again = tagger.extend(columns(table, ["striped"], labels))
    images = torch.randn(5, 3, 32, 32)
    assert torch.equal(tagger.model(images), again.model(images)[:, :4])
    loaded = Tagger.load(again.save(tmp_path / "again"))
    assert torch.equal(again.model(images), loaded.model(images)) and loaded.classes[3:] == (NEW, "striped")
    lean = Tagger.load(again.save_pretrained(tmp_path / "hub"))
    assert torch.equal(lean.model(images), again.model(images))
    assert loaded.decide(table.root).table.classes == loaded.classes
    every = columns(table, loaded.classes, np.pad(table.labels, ((0, 0), (0, 1))))
    with pytest.raises(ValueError, match=r"cannot start from .*again: it was extended or edited"):
        Tagger(loaded.classes, "bce", **SMALL).fit(
            every, out=tmp_path / "x", start_from=tmp_path / "again", epochs=1, weight_decay=0.1, lr=0.1
        )


def test_more_rules_bind_old_and_new_classes(run, presences, table, tmp_path):
    presences.save(tmp_path / "more.csv")
    (tmp_path / "rules.yaml").write_text("implies: {yellow: [blue]}\n")
    typed = ["extend", str(run), "--labels", str(tmp_path / "more.csv"), "--out", str(tmp_path / "b")]
    assert main(typed) == 0
    before, after = Tagger.load(run), Tagger.load(tmp_path / "b")
    assert after.rules.parents() == {"red": ["green"], "yellow": ["blue"]}
    images = torch.randn(5, 3, 32, 32)
    assert torch.equal(before.model(images), after.model(images)[:, :3]), (
        "rules bind probabilities, not logits"
    )
    sure = after.predict(table.root)
    assert (sure["blue"] >= sure["yellow"]).all()
    kept, blue = Run(tmp_path / "b").table(), OLD.index("blue")
    shown = kept.labels[:, 3] == PRESENT
    given = Run(run).table()[shown].labels[:, blue]
    assert shown.sum() == 6 and (given == UNKNOWN).any()
    assert np.array_equal(kept.labels[shown, blue], np.where(given == UNKNOWN, PRESENT, given))
    kinds = Rules((ClassRule("implies", ("yellow", "colour")),), adds=("colour",), source="a.yaml")
    with pytest.raises(
        ValueError, match=r"a.yaml adds the class 'colour', .* add it to the table as a column"
    ):
        before.extend(presences, rules=kinds)
    back = Rules((ClassRule("implies", ("green", "red")),), source="b.yaml")
    with pytest.raises(ValueError, match=r"b.yaml.*rules go in a circle: (red|green) => "):
        before.extend(presences, rules=back)


def test_similar_images_inform_a_new_class(run, table, tmp_path, monkeypatch):
    by_neighbours = (Rule("soft_sst"),)
    assert extension.rules_of_group(False, 4)[-1:] == by_neighbours
    monkeypatch.setattr(extension, "rules_of_group", lambda assumed, classes: by_neighbours)
    again = Tagger.load(run).extend(columns(table, [NEW]))
    images = torch.randn(5, 3, 32, 32)
    loaded = Tagger.load(again.save(tmp_path / "again"))
    assert torch.equal(again.model(images), loaded.model(images))
    assert torch.equal(Tagger.load(run).model(images), again.model(images)[:, :3])
    assert loaded.composition.parts[-1].method == "soft_sst"


def test_the_command_says_what_is_used(run, table, tmp_path, capsys):
    labels = columns(table, ["blue", NEW]).labels.copy()
    labels[:, 0] = np.where(labels[:, 0] == UNKNOWN, ABSENT, 1 - labels[:, 0])
    columns(table, ["blue", NEW], labels).save(tmp_path / "more.csv")
    typed = ["extend", str(run), "--labels", str(tmp_path / "more.csv"), "--out", str(tmp_path / "b")]
    assert main([*typed, "--classes", "yellow"]) == 0
    said = capsys.readouterr().out
    assert "learning from 24 training photos, 0 of all photos are new to the run" in said
    assert (
        "labels of old classes: 11 are new, kept in the table of the run and not learned from; 21 differ"
        in said
    )
    assert "weight decay" in said and "the new classes have their own" in said
    assert Run(tmp_path / "b").table().split == Run(run).table().split, "test photos stay test photos"
    assert main([*typed, "--classes", "yellow"]) == 2
    assert "holds a run: give another folder (--out)" in capsys.readouterr().err


def test_what_cannot_be_added_is_named(run, table):
    tagger, more = Tagger.load(run), columns(table, ["blue", NEW])
    with pytest.raises(ValueError, match=r"class 'blue' is in bce@old already: leave it out of classes"):
        tagger.extend(more, ["blue", NEW])
    with pytest.raises(ValueError, match=r"class 'yelow' is not in the table \(did you mean 'yellow'\?\)"):
        tagger.extend(more, ["yelow"])
    with pytest.raises(ValueError, match=r"all classes of the table are in bce@old already"):
        tagger.extend(columns(table, ["blue"]))
    blank = np.full((len(table), 1), UNKNOWN, np.int8)
    with pytest.raises(ValueError, match=r"no training image is known to show the new class 'pink'"):
        tagger.extend(columns(table, ["pink"], blank))
    with pytest.raises(ValueError, match=r"all 24 training images show the new class 'pink'"):
        tagger.extend(columns(table, ["pink"], np.full_like(blank, PRESENT)))


def test_tables_of_two_folders_become_one(tmp_path):
    origins = Origins(np.array([[1, 0]], np.uint8), ("", "human"))
    one = LabelTable(("x.jpg",), ("a", "b"), np.array([[1, -1]], np.int8), ("test",), tmp_path / "1", origins)
    other = LabelTable(
        ("x.jpg", "y.jpg"), ("b", "c"), np.array([[0, 1], [-1, 0]], np.int8), root=tmp_path / "2"
    )
    found = join(one, other, ("a", "b"), ("c",))
    assert found.table.images == ("1/x.jpg", "2/x.jpg", "2/y.jpg") and found.table.root == tmp_path
    assert found.table.labels.tolist() == [[1, -1, -1], [-1, 0, 1], [-1, -1, 0]]
    assert found.table.split == ("test", "train", "train") and found.table.origins.of(0, 0) == "human"
    assert (found.new_images, found.old_labels, found.differing) == (2, 1, 0)
    same = join(one, replace(other, root=one.root), ("a", "b"), ("c",)).table
    assert same.images == ("x.jpg", "y.jpg") and same.labels.tolist() == [[1, 0, 1], [-1, -1, 0]]
    assert same.split == ("test", "train")
