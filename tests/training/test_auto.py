"""`--method auto`: what it leaves, what it refuses, and that everything else works with it as with any run."""

import json
import shutil
import warnings

import numpy as np
import pytest
import torch

from partlabel import Tagger, methods
from partlabel.cli.main import main
from partlabel.data.tables.splits import training_parts
from partlabel.evaluation.metrics import evaluate
from partlabel.selection.result import load_out_of_fold
from partlabel.training.datasets import in_use
from partlabel.training.run_folder import Run
from small import QUICK, SMALL

TYPED = ["--backbone", "test_resnet", "--pretrained", "false", "--image-size", "32"]


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Without the rules that learn from predictions, which tests/selection searches too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("partlabel.training.settings_search.SELF_TRAINING", ())
        yield


@pytest.fixture(scope="module")
def table(drawn):
    return drawn


@pytest.fixture(scope="module")
def fitted(table, tmp_path_factory):
    """A tagger that found its own settings, and its run's folder."""
    out = tmp_path_factory.mktemp("auto") / "run"
    return Tagger(table.classes, **SMALL).fit(table, out=out), out


def test_a_run_leaves_what_it_promises(fitted, table):
    _, out = fitted
    left = {path.name for path in out.iterdir()}
    assert left - {"completion.safetensors"} == {
        *("config.json", "model.safetensors", "labels.parquet", "selection.json", "out_of_fold.safetensors"),
        *("validation.json", "test.json", "headlines.json", "report.html"),
    }
    kept = Run(out).table()
    assert kept.parts == ("train", "test"), "no image is set apart"
    assert load_out_of_fold(Run(out).out_of_fold)[0].shape == (24, 4)


def test_the_settings_name_what_was_found(fitted):
    tagger, out = fitted
    found, config = (
        json.loads((out / "selection.json").read_text()),
        json.loads((out / "config.json").read_text()),
    )
    best = found["winner"]
    assert (config["tagger"]["method"], config["tagger"]["head"]) == (best["method"], best["head"])
    assert config["asked"]["method"] == "auto" and config["selection"]["weight_decay"] == best["weight_decay"]
    assert tagger.settings["method"] == best["method"] != "auto"
    assert tagger.name == f"{best['method']}@run"
    report = (out / "report.html").read_text()
    assert "5-fold cross-validation" in report and best["head"] in report
    assert found["candidates"][0] == best and len(found["candidates"]) > 5


def test_photos_that_moved_hinder_nothing_that_needs_none_of_them(fitted, table, tmp_path, capsys):
    tagger, run = fitted[0], tmp_path / "run"
    shutil.copytree(fitted[1], run)
    config = json.loads((run / "config.json").read_text())
    config["data"]["images"] = str(tmp_path / "gone")
    (run / "config.json").write_text(json.dumps(config))
    loaded = Tagger.load(run)
    assert np.array_equal(loaded.scores(table), tagger.scores(table))
    typed = ["fill", str(run), "--out", str(tmp_path / "filled.csv")]
    assert main(typed) == 2
    error = capsys.readouterr().err
    assert str(tmp_path / "gone") in error and "--images" in error
    assert main([*typed, "--images", str(table.root)]) == 0


def test_a_loaded_tagger_says_the_same(fitted, table, tmp_path):
    tagger, out = fitted
    expected = tagger.scores(table)
    assert np.ptp(expected) > 0
    assert np.array_equal(Tagger.load(out).scores(table), expected)
    tagger.save(tmp_path / "copy")
    assert np.array_equal(Tagger.load(tmp_path / "copy").scores(table), expected)


def test_the_model_predicts_of_photos_what_the_search_predicts_of_features(fitted, table):
    tagger, _ = fitted
    parts = training_parts(table, None, 0.0, 0)
    with torch.no_grad():
        images = torch.cat([tagger.model.backbone(batch.inputs) for batch in batches(tagger, in_use(parts))])
        found = tagger.selection.model(images.mean((2, 3), keepdim=True)).numpy()
    np.testing.assert_allclose(tagger.scores(parts.train, cache="none"), found, atol=1e-3)


def batches(tagger, table):
    from partlabel.data.images.dataset import ImageDataset, eval_transform
    from partlabel.data.images.loader import loader

    return loader(ImageDataset(table, eval_transform(*tagger.view), size=tagger.view[0]), 8)


def test_the_evaluation_is_of_out_of_fold_scores(fitted, table):
    tagger, out = fitted
    scores = load_out_of_fold(Run(out).out_of_fold)[0]
    expected = evaluate(scores, table.part("train").labels, table.classes)
    assert json.loads((out / "validation.json").read_text())["map"] == pytest.approx(expected.map)
    assert np.array_equal(tagger.selection.logits, scores)


def test_the_same_run_twice_is_the_same(fitted, table, tmp_path):
    tagger, _ = fitted
    again = Tagger(table.classes, **SMALL).fit(table, out=tmp_path / "again")
    assert np.array_equal(again.scores(table), tagger.scores(table))


def test_a_run_is_searched_again_with_resume(fitted, table, tmp_path):
    tagger, out = fitted
    with pytest.raises(FileExistsError, match="--resume"):
        Tagger(table.classes, **SMALL).fit(table, out=out)
    again = Tagger(table.classes, **SMALL).fit(table, out=out, resume=True)
    assert np.array_equal(again.scores(table), tagger.scores(table))
    with pytest.raises(
        ValueError, match=r"holds a run with other settings: .*method was 'auto' and is 'bce'"
    ):
        Tagger(table.classes, "bce", **SMALL).fit(table, out=out, resume=True)


def test_a_tagger_can_be_fitted_twice(table, tmp_path):
    tagger = Tagger(table.classes, "bce", **SMALL)
    tagger.fit(table, out=tmp_path / "a")
    first = tagger.scores(table)
    tagger.fit(table, out=tmp_path / "b")
    assert np.array_equal(tagger.scores(table), first)


def test_a_part_for_validation_is_not_trained_on(table, tmp_path):
    split = ["val" if row < 6 else part for row, part in enumerate(table.split)]
    tagger = Tagger(table.classes, "bce", **SMALL).fit(table.with_split(split), out=tmp_path / "run")
    run = Run(tmp_path / "run")
    assert len(load_out_of_fold(run.out_of_fold)[0]) == 18
    assert json.loads(run.validation.read_text())["images"] == 6
    assert json.loads(run.selection.read_text())["evaluated_on"] == "validation set"
    assert tagger.selection.images == 18


def test_groups_stay_together(table, tmp_path, monkeypatch):
    from partlabel.training import settings_search

    seen = []
    original = settings_search.folds
    monkeypatch.setattr(settings_search, "folds", lambda *given: seen.append(original(*given)) or seen[-1])
    groups = [f"scene {row // 2}" for row in range(len(table))]
    Tagger(table.classes, "bce", **SMALL).fit(table, out=tmp_path / "run", groups=groups)
    (fold,) = seen
    assert all(fold[row] == fold[row + 1] for row in range(0, 24, 2))


def test_a_method_alone_has_its_weight_decay_searched(table, tmp_path):
    tagger = Tagger(table.classes, "weak_negatives", {"weight": 0.3}, head="covariance", **SMALL)
    tagger.fit(table, out=tmp_path / "run")
    found = json.loads((tmp_path / "run/selection.json").read_text())
    assert [each["method"] for each in found["candidates"]] == ["weak_negatives"]
    assert found["winner"]["method_args"] == {"weight": 0.3} and found["winner"]["head"] == "covariance"
    assert len(found["winner"]["tried"]) > 3 and not Run(tmp_path / "run").best.exists()


@pytest.mark.parametrize("method", ["soft_sst", "curriculum"])
def test_a_method_that_learns_from_predictions_is_searched_alone(table, tmp_path, method):
    tagger = Tagger(table.classes, method, head="rooted_average", **SMALL).fit(table, out=tmp_path / "run")
    assert tagger.settings["method"] == method
    assert np.array_equal(Tagger.load(tmp_path / "run").scores(table), tagger.scores(table))


def test_a_weight_decay_is_used_as_given(table, tmp_path):
    tagger = Tagger(table.classes, "bce", **SMALL)
    tagger.fit(table, out=tmp_path / "run", weight_decay=0.3, epochs=1, batch_size=8, accelerator="cpu")
    assert not Run(tmp_path / "run").selection.exists() and Run(tmp_path / "run").best.exists()
    assert json.loads((tmp_path / "run/config.json").read_text())["training"]["weight_decay"] == 0.3


BY_STEPS = {name: value for name, value in QUICK.items() if name != "weight_decay"}


def test_a_method_that_is_trained_by_steps_has_its_weight_decay_searched_on_validation(table, tmp_path):
    tagger = Tagger(table.classes, "hill", **SMALL).fit(table, out=tmp_path / "run", **BY_STEPS)
    run = Run(tmp_path / "run")
    found = json.loads(run.selection.read_text())
    tried = {each["weight_decay"]: each["cost"] for each in found["candidates"]}
    best = found["winner"]["weight_decay"]
    assert {0.02, 0.08} <= set(tried) and len(tried) >= 3 and tried[best] == min(tried.values())
    assert not (run.folder / "search").exists() and run.best.exists()
    alone = Tagger(table.classes, "hill", **SMALL)
    alone.fit(table, out=tmp_path / "alone", weight_decay=best, **BY_STEPS)
    assert np.array_equal(tagger.scores(table), alone.scores(table)), "as if it alone had taken place"
    again = Tagger(table.classes, "hill", **SMALL).fit(table, out=tmp_path / "run", resume=True, **BY_STEPS)
    assert np.array_equal(tagger.scores(table), again.scores(table))


@pytest.mark.parametrize(
    ("shape", "options", "reason"),
    [
        ({"trainable": "last"}, {}, "part of the backbone is trained"),
        ({}, {"val": 0.0}, "there is no validation set"),
    ],
)
def test_where_the_weight_decay_is_not_searched_it_is_said(table, tmp_path, shape, options, reason):
    with pytest.warns(UserWarning, match=f"weight decay is 0.02, and is not searched because {reason}"):
        Tagger(table.classes, "hill", **SMALL, **shape).fit(table, out=tmp_path / "run", **BY_STEPS | options)


def test_another_run_gives_its_backbone(table, fitted, tmp_path):
    """With other weights: a random backbone of another seed gives other features."""
    before, out = fitted
    tagger = Tagger(table.classes, **SMALL)
    tagger.fit(table, out=tmp_path / "run", start_from=out, seed=5)
    theirs = before.model.backbone.state_dict()
    for name, value in tagger.model.backbone.state_dict().items():
        if name in theirs:
            assert torch.equal(value, theirs[name]), name


def test_a_run_with_a_trained_backbone_is_no_start(table, tmp_path):
    other = Tagger(table.classes, "hill", trainable="last", **SMALL)
    other.fit(table, out=tmp_path / "a", weight_decay=0.02, **BY_STEPS)
    with pytest.raises(
        ValueError, match="--trainable last, and the search needs a frozen backbone: name the method"
    ):
        Tagger(table.classes, **SMALL).fit(table, out=tmp_path / "b", start_from=tmp_path / "a")


def test_what_auto_cannot_do_is_refused_with_a_way_out(table, tmp_path):
    with pytest.raises(
        ValueError, match="--method auto fits linear heads on a frozen backbone, and --trainable is last"
    ):
        Tagger(table.classes, **SMALL, trainable="last").fit(table, out=tmp_path / "a")
    with pytest.raises(ValueError, match="leave out --devices and --num-nodes, or name a method"):
        Tagger(table.classes, **SMALL).fit(table, out=tmp_path / "a", devices=2)
    with pytest.raises(ValueError, match="head 'residual' is not linear"):
        Tagger(table.classes, head="residual", **SMALL)
    with pytest.raises(TypeError, match="the method is searched, and has no option 'start': name the method"):
        Tagger(table.classes, method_args={"start": 1}, **SMALL)
    assert not (tmp_path / "a").exists()


def test_a_head_that_is_named_is_the_only_one_compared(table, tmp_path):
    tagger = Tagger(table.classes, head="max", **SMALL).fit(table, out=tmp_path / "run")
    assert {each.head for each in tagger.selection.candidates} == {"max"}
    assert np.array_equal(Tagger.load(tmp_path / "run").scores(table), tagger.scores(table))


def test_options_that_are_not_used_are_named_in_one_line(collection, tmp_path, capsys):
    given = ["train", str(collection / "labels.csv"), "--images", str(collection / "photos"), *TYPED]
    with pytest.warns(UserWarning, match="--method auto does not use --epochs, --lr: name a method") as said:
        assert main([*given, "--epochs", "3", "--lr", "0.1", "--out", str(tmp_path / "run")]) == 0
    assert sum("does not use" in str(each.message) for each in said) == 1
    shown = capsys.readouterr().out
    assert "cross-valid" in shown and "Settings compared by 5-fold cross-validation" in shown
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*does not use")
        assert main([*given, "--out", str(tmp_path / "other"), "--method", "bce"]) == 0


def test_a_column_of_groups_is_no_class(collection, tmp_path, capsys):
    lines = (collection / "labels.csv").read_text().splitlines()
    grouped = [f"{line},{'scene' if not row else f's{row // 3}'}" for row, line in enumerate(lines)]
    (tmp_path / "labels.csv").write_text("\n".join(grouped) + "\n")
    typed = ["train", str(tmp_path / "labels.csv"), "--images", str(collection / "photos"), *TYPED]
    assert main([*typed, "--group", "scene", "--method", "bce", "--out", str(tmp_path / "run")]) == 0
    assert Tagger.load(tmp_path / "run").classes == ("red", "green", "blue", "yellow")


def test_help_explains_auto(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "auto (method, head and weight decay are chosen by cross-validation)" in shown
    assert "auto" not in methods.names()
