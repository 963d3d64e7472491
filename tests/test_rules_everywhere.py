"""Rules between classes from training to the server: what follows is known, and predictions obey them."""

import json

import numpy as np
import pytest
import torch

from drawings import COLOURS, draw_photos
from partlabel import ABSENT, PRESENT, UNKNOWN, LabelTable, Tagger
from partlabel.cli.main import main
from partlabel.core.column_rules import ColumnRules
from partlabel.core.rules import ClassRule, Rules
from partlabel.data.tables.closure import without_rule_labels
from partlabel.data.tables.filled import FilledTable
from partlabel.evaluation.violations import count_violations
from partlabel.training.run_folder import Run

IMAGES = 40
CLASSES = tuple(COLOURS)
ONE, TWO, THREE, FOUR = CLASSES
RULES = Rules(
    (
        ClassRule("implies", (ONE, "any")),
        ClassRule("implies", (TWO, "any")),
        ClassRule("excludes", (THREE, FOUR)),
    ),
    adds=("any",),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run with rules, its folder, its photos and the table that it was given."""
    folder = tmp_path_factory.mktemp("rules")
    truth = draw_photos(folder / "photos", IMAGES)
    labels = np.where(np.random.RandomState(2).rand(*truth.shape) < 0.4, UNKNOWN, truth).astype(np.int8)
    table = LabelTable(tuple(f"{n:02}.png" for n in range(IMAGES)), CLASSES, labels, root=folder / "photos")
    how = {"backbone": "test_resnet", "pretrained": False, "image_size": 64}
    tagger = Tagger((*CLASSES, "any"), method="bce", **how)
    how = {"epochs": 1, "weight_decay": 0.1, "cache": "none", "val": 0.2}
    tagger.fit(table, out=folder / "run", rules=RULES, **how)
    return tagger, folder / "run", table


def violations(found):
    return count_violations(found, ColumnRules(RULES, (*CLASSES, "any"))).total


def test_training_learns_from_the_closure_and_evaluates_what_was_given(made):
    _, run, table = made
    kept = Run(run).table()
    first = kept.labels[:, kept.classes.index(ONE)] == PRESENT
    assert (kept.labels[first, kept.classes.index("any")] == PRESENT).all() and first.any()
    assert kept.origins is not None and "rule:implies" in kept.origins.names
    before = without_rule_labels(kept).labels[:, : len(CLASSES)]
    assert (before == table.labels).all()


def test_predictions_obey_the_rules_also_after_saving(made):
    tagger, run, table = made
    found = tagger.predict(table)
    assert violations(found.drop("image").to_numpy()) == 0
    logits = np.random.RandomState(0).normal(size=(50, 5)).astype(np.float32)
    assert violations(1 / (1 + np.exp(-logits))) > 0 == violations(tagger.evidence.probability(logits))
    again = Tagger.load(run).predict(table)
    assert again.equals(found)


def test_fill_gives_implied_labels_first_and_its_labels_obey(made):
    tagger, _, table = made
    filled = tagger.fill(table, accept=0.3, reject=0.2)
    labels = filled.table.labels
    rules = ColumnRules(RULES, filled.table.classes)
    concluded = rules.conclude(labels)
    for conflict in concluded.conflicts:  # the drawings know of no rules
        at = [filled.table.classes.index(name) for name, _ in conflict.labels]
        assert (table.labels[conflict.row, at] != UNKNOWN).all(), "new labels contradict nothing"
    assert (concluded.labels == labels).all(), "nothing more follows"
    known = table.labels != UNKNOWN
    assert (labels[:, : len(CLASSES)][known] == table.labels[known]).all()
    at = int(np.flatnonzero(table.labels[:, 0] == PRESENT)[0])
    assert filled.source_of(at, 4) == "rule:implies" and np.isnan(filled.probability[at, 4])


def test_a_filled_table_is_filled_again_with_the_same_labels(made, tmp_path):
    tagger, _, table = made
    once = tagger.fill(table, accept=0.6)
    again = FilledTable.load(once.save(tmp_path / "filled.csv"), table.root)
    assert (tagger.closed(again).table.labels == once.table.labels).all()


@pytest.mark.slow
def test_the_graph_and_the_server_give_the_same_numbers(made, tmp_path):
    pytest.importorskip("onnxruntime")
    from partlabel.deploy.graph_export import to_onnx
    from partlabel.deploy.serving.model import Model

    tagger = made[0]
    model = Model.load(to_onnx(tagger, tmp_path / "model.onnx"))
    pixels = np.random.RandomState(0).randint(0, 255, (5, 64, 64, 3), np.uint8)
    served = model.probability(pixels)
    mean, std = (np.array(each, np.float32) for each in tagger.view[1])
    images = torch.from_numpy(((pixels / 255 - mean) / std).astype(np.float32)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        logits = tagger.fitted_model()(images).numpy()
    np.testing.assert_allclose(served, tagger.evidence.probability(logits), atol=1e-5)
    assert violations(served) == 0


@pytest.mark.slow
def test_the_commands_read_rules_beside_the_table_and_say_what_follows(made, tmp_path, capsys):
    _, _, table = made
    table.save(tmp_path / "labels.csv")
    (tmp_path / "rules.yaml").write_text(
        f"implies: {{{ONE}: [any], {TWO}: [any]}}\nexcludes: [[{THREE}, {FOUR}]]\nadds: [any]\n"
    )
    images = ["--images", str(table.root)]
    small = [
        "--image-size",
        "64",
        "--pretrained",
        "false",
        "--method",
        "bce",
        "--epochs",
        "1",
        "--cache",
        "none",
    ]
    run = str(tmp_path / "run")
    main(["train", str(tmp_path / "labels.csv"), *images, *small, "--weight-decay", "0.1", "--out", run])
    assert "unknown labels follow from known ones" in capsys.readouterr().out
    assert json.loads((tmp_path / "run" / "config.json").read_text())["rules"]["adds"] == ["any"]
    main(["evaluate", run, str(tmp_path / "labels.csv"), *images])
    said = capsys.readouterr().out
    assert "predictions: 0 violations of rules" in said and "the network alone: " in said
    main(["fill", run, str(tmp_path / "labels.csv"), *images, "--out", str(tmp_path / "filled.csv")])
    assert "unknown labels follow from known ones" in capsys.readouterr().out
    assert ABSENT == 0
