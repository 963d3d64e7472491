"""The programs in `examples/`, run."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import partlabel
from partlabel.cli.main import main
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.types import Batch, Progress
from partlabel.nn.classes import Classes
from partlabel.nn.heads import ClassOutput, Head

EXAMPLES = Path(__file__).parent.parent / "examples"
SOURCE = str(Path(partlabel.__file__).parents[1])


@pytest.fixture
def here(monkeypatch):
    """Change to the folder of the example."""
    monkeypatch.chdir(EXAMPLES / "own-method")
    monkeypatch.syspath_prepend(str(EXAMPLES / "own-method"))
    monkeypatch.syspath_prepend(str(EXAMPLES))


class Fixed(Head):
    """The same logits, whatever the image."""

    def __init__(self, logits):
        super().__init__(1, Classes(("a", "b", "c")))
        self.logits = logits

    def forward(self, feature_map):
        return ClassOutput(self.logits)


def test_weak_negatives_weigh_unknown_labels_as_the_paper_says(here):
    own_method = importlib.import_module("own_method")
    method = own_method.WeakNegatives(torch.nn.Identity(), Fixed(torch.tensor([[0.0, 1.0, -2.0]])))
    labels = torch.tensor([[PRESENT, UNKNOWN, ABSENT]], dtype=torch.int8)
    terms = method.step(Batch(torch.zeros(1, 1, 1, 1), labels, torch.tensor([0])), Progress()).terms
    each = -torch.tensor([0.0, -1.0, 2.0]).sigmoid().log()  # present, taken for absent, absent
    weight = torch.tensor([1.0, 0.5, 1.0])  # 1 / (3 classes - 1) for the unknown one
    torch.testing.assert_close(terms["bce"] + terms["assumed"], (each * weight).sum() / weight.sum())


@pytest.mark.slow
def test_a_method_of_ones_own_is_trained_by_its_dotted_path(here, collection, tmp_path, capsys):
    out = tmp_path / "run"
    table = [str(collection / "labels.csv"), "--images", str(collection / "photos")]
    own = ["--method", "own_method.WeakNegatives", "--method.weight", "0.2"]
    tiny = ["--backbone", "test_resnet", "--pretrained", "false", "--image-size", "64", "--epochs", "1"]
    assert main(["train", *table, *own, *tiny, "--out", str(out)]) == 0, capsys.readouterr().err
    assert "own_method.WeakNegatives" in (out / "config.json").read_text()
    assert main(["evaluate", str(out), "--trust"]) == 0, capsys.readouterr().err
    assert json.loads((out / "evaluation.json").read_text())["images"] == 8


def test_the_help_of_a_method_of_ones_own_has_its_options(here, capsys):
    with pytest.raises(SystemExit):
        main(["train", "--method", "own_method.WeakNegatives", "--help"])
    shown = capsys.readouterr().out
    assert "--method.weight" in shown
    assert "Weight of an unknown label" in " ".join(shown.split())


@pytest.mark.slow
def test_the_plain_loop_trains_and_scores(here, collection, capsys):
    plain_pytorch = importlib.import_module("plain_pytorch")
    labels, photos = str(collection / "labels.csv"), str(collection / "photos")
    score = plain_pytorch.main(labels, photos, epochs=4, size=64, batch_size=8)
    shown = capsys.readouterr().out
    assert 0 < score <= 1
    assert "bce_cross" in shown.splitlines()[3]  # pseudo-labels take part from epoch 3 on
    assert "bce_cross" not in shown.splitlines()[2]


def test_the_example_holds_the_contract_of_methods(here):
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_own_method.py"],
        capture_output=True,
        text=True,
        cwd=EXAMPLES / "own-method",
        env=os.environ | {"PYTHONPATH": SOURCE},
    )
    assert run.returncode == 0, run.stdout
    assert "10 passed" in run.stdout


@pytest.mark.slow
def test_an_installed_package_adds_a_method_by_its_entry_point(tmp_path):
    """`pip install` is enough: its name is listed, and the name of a method of partlabel is not replaced."""
    where = ["--target", str(tmp_path), str(EXAMPLES / "own-method")]
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", *where]
    subprocess.run(command, check=True, capture_output=True)
    code = (
        "from partlabel import methods; from partlabel.cli.main import main; "
        "assert methods.get('own_weak_negatives').__module__ == 'own_method'; "
        "assert methods.get('weak_negatives').__module__ == 'partlabel.methods.weak_negatives'; "
        "main(['methods'])"
    )
    path = os.pathsep.join([str(tmp_path), SOURCE])
    run = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "own_weak_negatives" in run.stdout
