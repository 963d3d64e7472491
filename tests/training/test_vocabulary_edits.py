"""Renamed, merged and dropped classes of a trained tagger, without training."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from partlabel import Tagger
from partlabel.cli.main import main
from partlabel.core.rules import ClassRule, Rules
from partlabel.data.tables.vocabulary import Edits
from partlabel.posthoc.label_completion import Completion
from partlabel.posthoc.tuning_fit import fit_tuning
from partlabel.selection.result import save_out_of_fold
from partlabel.training.run_folder import Run
from partlabel.training.vocabulary_edits import edited_rules


@pytest.fixture(scope="module")
def run(plain_run, tmp_path_factory):
    """A run of the classes red, green, blue and yellow, with all that belongs to classes."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    shutil.copytree(plain_run[1], folder)
    out = Run(folder)
    train = out.table().part("train")
    logits = np.random.RandomState(0).randn(*train.labels.shape).astype(np.float32)
    save_out_of_fold(out.out_of_fold, logits)
    fit_tuning(train.classes, logits, train.labels).save(out.tuning)
    Completion(np.arange(16, dtype=np.float32).reshape(4, 4)).save(out.completion)
    return folder


def test_a_run_is_changed_with_its_table_and_all_that_belongs_to_its_classes(run, tmp_path, capsys):
    typed = ["--rename", "blue=sky", "--merge", "green=red", "--drop", "yellow", "--out", str(tmp_path / "b")]
    assert main(["vocabulary", str(run), *typed]) == 0
    said = capsys.readouterr().out
    assert "rename 'blue' to 'sky'" in said and "classes of the tagger: 4, then 2" in said
    before, after = Tagger.load(run), Tagger.load(tmp_path / "b")
    assert after.classes == ("red", "sky") and after.name == "bce@b"
    images = torch.randn(5, 3, 32, 32)
    old = before.model(images)
    assert torch.equal(after.model(images), torch.stack([old[:, :2].amax(1), old[:, 2]], 1))
    assert after.tuning.classes == after.classes
    assert after.tuning.thresholds == (before.tuning.thresholds[0], before.tuning.thresholds[2])
    assert after.completion.votes.tolist() == [[0, 2], [8, 10]]
    logits = before.out_of_fold.logits
    assert np.array_equal(after.out_of_fold.logits, np.stack([logits[:, :2].max(1), logits[:, 2]], 1))
    assert Run(tmp_path / "b").table().classes == after.classes
    table = Run(run).table()
    more = replace(table, classes=("striped",), labels=table.labels[:, :1])
    extended = after.extend(more)
    assert torch.equal(extended.model(images)[:, :2], after.model(images)), "and it can be extended"


def test_a_renamed_tagger_is_as_plain_as_before(run, tmp_path):
    before = Tagger.load(run)
    after = Tagger.load(before.edited(Edits(rename=(("blue", "sky"),))).save(tmp_path / "r"))
    images = torch.randn(5, 3, 32, 32)
    assert after.classes == ("red", "green", "sky", "yellow") and after.composition is None
    assert torch.equal(before.model(images), after.model(images))


def test_a_tagger_is_not_split_and_says_what_to_do(run):
    with pytest.raises(
        ValueError, match=r"does not tell navy, teal apart: split the table .*--split blue=navy,teal"
    ):
        Tagger.load(run).edited(Edits(split=(("blue", ("navy", "teal")),)))
    with pytest.raises(ValueError, match=r"a tagger needs a class"):
        Tagger.load(run).edited(Edits(drop=("red", "green", "blue", "yellow")))


def test_rules_follow_the_classes():
    rules = Rules(
        (
            ClassRule("implies", ("puppy", "dog")),
            ClassRule("implies", ("dog", "animal")),
            ClassRule("excludes", ("cab", "taxi")),
            ClassRule("one_of", ("day", "dusk", "night")),
        )
    )
    found = edited_rules(
        rules,
        {"puppy": "whelp", "animal": "animal", "cab": "taxi", "taxi": "taxi", "day": "day", "night": "night"},
    )
    assert [str(rule) for rule in found.rules] == ["day excludes night", "whelp => animal"]
    assert edited_rules(rules, {"cab": "taxi", "taxi": "taxi"}) is None
