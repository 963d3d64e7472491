"""What leaves the package says what the model says: hub folders, ONNX, torch.export."""

import copy
import json
import os
import shutil
import sys
from types import SimpleNamespace
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from partlabel import Tagger
from partlabel.cli.main import main
from partlabel.deploy import graph_export, hub
from partlabel.methods.logicmix import LogicMix
from partlabel.methods.soft_sst import SoftSST
from partlabel.nn import heads
from partlabel.nn.classes import Classes
from partlabel.posthoc.tuning_fit import fit_tuning
from partlabel.priors.scale import Scale
from partlabel.training.run_folder import Run
from small import SMALL
from trunk import Same, residual

QUICK = {"epochs": 2, "batch_size": 8, "val": 0.25, "accelerator": "cpu", "lr": 0.01, "weight_decay": 0.02}
TRUNK = {"dim": 8, "attention_dim": 4, "output_dim": 8}
TRANSFER = {"pair_dim": 4, "pair_hidden_dim": 4, "memory_size": 3}
KINDS = {
    "soft_sst-covariance": ("soft_sst", {"start": 0.5}, "covariance", {}),
    "soft_sst-without-vote": ("soft_sst", {"start": 0.5}, "covariance", {}),
    "sst-ssgrl": ("sst", TRANSFER, "ssgrl", TRUNK),
    "bce-residual": ("bce", {}, "residual", {}),
    "bce-average": ("bce", {}, "average", {}),
    "saliency-average": ("saliency", {}, "average", {}),
}


@pytest.fixture(scope="module")
def table(drawn):
    return drawn


@pytest.fixture(scope="module")
def runs(table, tmp_path_factory):
    """Map each kind to the folder of its run, trained at first use."""
    folder, done = tmp_path_factory.mktemp("runs"), {}

    def run(kind):
        if kind not in done:
            tagger = Tagger(table.classes, *KINDS[kind], **SMALL)
            tagger.fit(table, out=folder / kind, **QUICK)
            if isinstance(tagger.model, SoftSST):
                tagger.model.worth.fill_(0.0 if kind.endswith("vote") else 0.5)
                tagger.save(folder / kind, json.loads((folder / kind / "config.json").read_text()))
            done[kind] = folder / kind
        return done[kind]

    return run


every_kind = pytest.mark.parametrize("kind", KINDS)


def tuned(tagger, table):
    """Return the tagger with a tuning whose calibration changes probabilities."""
    tagger = copy.copy(tagger)
    tagger.tuning = fit_tuning(tagger.classes, tagger.scores(table), table.labels, folds=3)
    object.__setattr__(tagger.tuning, "scale", Scale(0.7, np.linspace(-1, 1, 4)))
    return tagger


def images(n, size=32):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(n))


def said(tagger, given):
    """Logits and calibrated probabilities of images between 0 and 1, by the model itself."""
    mean, std = (torch.tensor(values)[:, None, None] for values in tagger.view[1])
    with torch.inference_mode():
        logits = tagger.model((given - mean) / std).numpy()
    scale = None if tagger.tuning is None else tagger.tuning.scale
    sure = logits if scale is None else scale.slope * logits + scale.offset
    return logits, 1 / (1 + np.exp(-sure))


# The hub


@every_kind
def test_a_hub_folder_gives_the_same_outputs(runs, table, kind, tmp_path):
    tagger = Tagger.load(runs(kind))
    expected = tagger.scores(table)
    assert np.ptp(expected) > 0
    tagger.save_pretrained(tmp_path / "model")
    assert np.array_equal(Tagger.from_pretrained(tmp_path / "model").scores(table), expected)
    assert np.array_equal(
        Tagger.from_pretrained(str(tmp_path / "model")).fill(table).probability,
        tagger.fill(table).probability,
        equal_nan=True,
    )


def test_memory_and_pair_head_are_left_out_unless_asked_for(runs, table, tmp_path):
    tagger = Tagger.load(runs("sst-ssgrl"))
    tagger.save_pretrained(tmp_path / "lean")
    kept = load_file(tmp_path / "lean/model.safetensors")
    assert {name.partition(".")[0] for name in kept} == {"backbone", "head"}
    tagger.save_pretrained(tmp_path / "all", with_training_state=True)
    whole = load_file(tmp_path / "all/model.safetensors")
    assert {"pairs", "memory"} <= {name.partition(".")[0] for name in whole}
    again = Tagger.load(tmp_path / "all").model.state_dict()
    for name, value in tagger.model.state_dict().items():
        assert torch.equal(again[name], value), name


@pytest.mark.parametrize(
    ("inner", "lean", "said"), [("sst", False, True), ("sst", True, False), ("bce", False, False)]
)
def test_a_memory_inside_another_method_is_told_of_where_it_is_saved(inner, lean, said):
    assert hub._remembers(LogicMix(Same(), residual(), inner), lean) is said


def test_soft_sst_keeps_the_memory_that_its_vote_needs_and_no_more(runs, table, tmp_path):
    tagger = Tagger.load(runs("soft_sst-covariance"))
    tagger.save_pretrained(tmp_path / "voting")
    kept = {name.partition(".")[0] for name in load_file(tmp_path / "voting/model.safetensors")}
    assert "memory" in kept and "folds" not in kept and "taught_slope" not in kept
    assert "contain features and known labels" in (tmp_path / "voting/README.md").read_text()
    tagger.model.worth.zero_()
    expected = tagger.scores(table)
    tagger.save_pretrained(tmp_path / "silent")
    assert not any(name.startswith("memory") for name in load_file(tmp_path / "silent/model.safetensors"))
    assert np.array_equal(Tagger.load(tmp_path / "silent").scores(table), expected)
    assert "contain features and known labels" not in (tmp_path / "silent/README.md").read_text()


def test_what_was_left_out_stays_left_out_when_it_is_saved_again(runs, table, tmp_path):
    Tagger.load(runs("sst-ssgrl")).save_pretrained(tmp_path / "lean")
    Tagger.load(tmp_path / "lean").save(tmp_path / "again")
    assert (
        load_file(tmp_path / "again/model.safetensors").keys()
        == load_file(tmp_path / "lean/model.safetensors").keys()
    )
    assert np.array_equal(
        Tagger.load(tmp_path / "again").scores(table), Tagger.load(tmp_path / "lean").scores(table)
    )


def test_weights_that_prediction_needs_must_be_there(runs, tmp_path):
    from safetensors.torch import save_file

    Tagger.load(runs("soft_sst-covariance")).save_pretrained(tmp_path / "lean")
    state = load_file(tmp_path / "lean/model.safetensors")
    save_file(
        {name: value for name, value in state.items() if not name.startswith("memory")},
        tmp_path / "lean/model.safetensors",
    )
    with pytest.raises(ValueError, match=r"does not fit .*it lacks memory\.features"):
        Tagger.load(tmp_path / "lean")


def test_a_method_that_keeps_too_little_is_found_out(runs, monkeypatch, tmp_path):
    tagger = Tagger.load(runs("soft_sst-covariance"))
    monkeypatch.setattr(SoftSST, "predicts_with", lambda self: ("backbone", "head"))
    with pytest.raises(
        ValueError,
        match=r"the predictions of SoftSST change without the training state; its `predicts_with` has to name all",
    ):
        tagger.save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_card_tells_of_data_metrics_and_thresholds(runs, table, tmp_path):
    run = runs("bce-average")
    tagger = tuned(Tagger.load(run), table)
    tagger.save_pretrained(tmp_path / "model", run=run)
    text = (tmp_path / "model/README.md").read_text()
    assert text.startswith("---\nlibrary_name: partlabel\n") and "# license: " in text
    counts = Run(run).table().part("val")
    assert f"| val | {len(counts)} | {counts.present} | {counts.absent} | {counts.unknown} |" in text
    assert "mAP " in text and f"{tagger.tuning.thresholds[0]:.3f}" in text and "epochs 2," in text
    assert "| method | bce: " in text and "| backbone | test\\_resnet, trained: none |" in text
    Tagger.load(run).save_pretrained(tmp_path / "bare")
    bare = (tmp_path / "bare/README.md").read_text()
    assert "- yellow\n" in bare and "## On validation" not in bare and "## Data" not in bare


def test_nothing_in_the_folder_names_a_place_on_this_machine(runs, collection, tmp_path):
    run = runs("sst-ssgrl")
    Tagger.load(run).save_pretrained(tmp_path / "model", run=run)
    for name in ("config.json", "README.md"):
        text = (tmp_path / "model" / name).read_text()
        assert str(collection) not in text and str(tmp_path) not in text and str(run.parent) not in text
    description = json.loads((tmp_path / "model/config.json").read_text())
    assert description["training"]["epochs"] == 2 and "cache_dir" not in description["training"]


def test_the_run_itself_is_no_place_for_the_folder(runs):
    run = runs("bce-average")
    with pytest.raises(ValueError, match="is the run itself; give the model a folder of its own"):
        Tagger.load(run).save_pretrained(run, run=run)


def test_a_repository_is_fetched_by_its_name(runs, table, monkeypatch, tmp_path):
    import huggingface_hub

    expected = Tagger.load(runs("bce-average")).save_pretrained(tmp_path / "cache")
    asked = {}

    def snapshot(name, **options):
        asked.update(options, name=name)
        return str(tmp_path / "cache")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    found = Tagger.from_pretrained("somebody/shapes", revision="v2")
    assert asked == {"name": "somebody/shapes", "revision": "v2", "allow_patterns": list(hub.FILES)}
    assert np.array_equal(found.scores(table), Tagger.load(expected).scores(table))


@pytest.fixture
def remote(monkeypatch, tmp_path):
    """Replace the calls of `huggingface_hub` by a folder, checked against their signatures."""
    import huggingface_hub

    folder, calls = tmp_path / "remote", []
    api = create_autospec(huggingface_hub.HfApi, instance=True)

    def create_repo(repo_id, **options):
        folder.mkdir(exist_ok=True)
        calls.append(("create_repo", repo_id, options))
        return SimpleNamespace(repo_id=repo_id)

    def upload_folder(*, repo_id, folder_path, ignore_patterns, delete_patterns, **options):
        calls.append(("upload_folder", repo_id, options))
        for name in delete_patterns:
            (folder / name).unlink(missing_ok=True)
        for file in folder_path.iterdir():
            if file.name not in (ignore_patterns or ()):
                shutil.copy(file, folder / file.name)
        return SimpleNamespace(commit_url=f"https://hub/{repo_id}/commit/1", pr_url=None)

    api.create_repo.side_effect = create_repo
    api.upload_folder.side_effect = upload_folder
    api.file_exists.side_effect = lambda repo_id, name, **options: (folder / name).exists()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda **options: calls.append(("HfApi", options)) or api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **options: str(folder))
    return SimpleNamespace(folder=folder, calls=calls, api=api)


def test_a_model_that_was_pushed_predicts_the_same_when_fetched(runs, table, remote):
    tagger = tuned(Tagger.load(runs("bce-average")), table)
    url = tagger.push_to_hub("someone/shapes", run=runs("bce-average"), private=True, token="hf_x")
    assert url == "https://hub/someone/shapes/commit/1"
    found = Tagger.from_pretrained("someone/shapes")
    assert np.array_equal(found.scores(table), tagger.scores(table))
    assert found.tuning.thresholds == tagger.tuning.thresholds
    assert "mAP" in (remote.folder / "README.md").read_text()
    opened, created, uploaded = remote.calls
    assert opened[1]["token"] == "hf_x"
    assert created == ("create_repo", "someone/shapes", {"private": True, "exist_ok": True})
    assert uploaded[2] == {"revision": None, "create_pr": False, "commit_message": "Upload the model"}
    assert not remote.api.create_branch.called


def test_pushing_again_keeps_the_card_and_deletes_files_of_the_earlier_model(runs, table, remote):
    tagger = tuned(Tagger.load(runs("bce-average")), table)
    tagger.push_to_hub("someone/shapes")
    card = remote.folder / "README.md"
    written = card.read_text()
    card.write_text(written + "license: mine")
    tagger.tuning = None
    tagger.push_to_hub("someone/shapes", revision="v2")
    assert card.read_text() == written + "license: mine"
    assert not (remote.folder / "tuning.json").exists() and (remote.folder / "config.json").exists()
    remote.api.create_branch.assert_called_once_with("someone/shapes", branch="v2", exist_ok=True)
    tagger.push_to_hub("someone/shapes", replace_card=True)
    assert "license: mine" not in card.read_text()


def test_a_push_that_fails_says_why_and_what_is_needed(runs, remote):
    remote.api.create_repo.side_effect = RuntimeError("403 Forbidden: read-only token\nmore")
    said = r"cannot upload to .* someone/shapes: 403 Forbidden: read-only token; a token with .* run hf auth login"
    with pytest.raises(OSError, match=said):
        Tagger.load(runs("bce-average")).push_to_hub("someone/shapes")


def test_a_push_to_an_impossible_name_is_refused_before_any_request(runs, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ValueError, match=r"'a/b/c' is not the name of a hub repository \(owner/name\)"):
        Tagger.load(runs("bce-average")).push_to_hub("a/b/c")


def test_the_command_pushes_the_folder_it_wrote(runs, remote, tmp_path, capsys):
    run, out = str(runs("bce-average")), tmp_path / "model"
    assert (
        main(["export", run, "--to", "hub", "--out", str(out), "--push", "someone/shapes", "--private"]) == 0
    )
    assert "uploaded: https://hub/someone/shapes/commit/1" in capsys.readouterr().out
    assert {file.name for file in remote.folder.iterdir()} == {file.name for file in out.iterdir()}
    assert remote.calls[1][2]["private"] is True
    assert main(["export", run, "--push", "someone/shapes"]) == 2
    assert "--push someone/shapes: only the hub folder is uploaded; give --to hub" in capsys.readouterr().err


def test_a_name_that_is_neither_folder_nor_repository_is_an_error(monkeypatch, tmp_path):
    import huggingface_hub

    with pytest.raises(FileNotFoundError, match=r"no folder .*not the name of a repository .*\(owner/name\)"):
        Tagger.from_pretrained(tmp_path / "nowhere")

    def unreachable(name, **options):
        raise OSError("401: who are you\nmore")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(
        OSError,
        match=r"no folder a/b, and the Hugging Face hub repository .* cannot be read: 401: who are you$",
    ):
        Tagger.from_pretrained("a/b")


def test_nothing_of_a_model_that_was_there_before_stays(runs, table, tmp_path):
    from partlabel.posthoc.label_completion import Completion

    tagger = tuned(Tagger.load(runs("bce-average")), table)
    tagger.completion = Completion(np.ones((4, 4), np.float32))
    tagger.save_pretrained(tmp_path / "model")
    again = Tagger.load(tmp_path / "model")
    assert again.completion is not None and again.tuning is not None
    again.completion = again.tuning = None
    again.save_pretrained(tmp_path / "model")
    last = Tagger.load(tmp_path / "model")
    assert last.completion is None and last.tuning is None


# torch.export


@every_kind
def test_an_exported_program_says_what_the_model_says(runs, table, kind, tmp_path):
    tagger = tuned(Tagger.load(runs(kind)), table)
    path = graph_export.to_torch(tagger, tmp_path / "model.pt2")
    about = {graph_export.KEY: ""}
    program = torch.export.load(path, extra_files=about).module()
    assert json.loads(about[graph_export.KEY])["classes"] == list(table.classes)
    for n in (1, 3, 8, 19):
        for ours, theirs in zip(said(tagger, images(n)), program(images(n)), strict=True):
            assert theirs.dtype == torch.float32
            np.testing.assert_allclose(theirs.numpy(), ours, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", heads.names())
def test_every_head_can_be_exported(name):
    torch.manual_seed(0)
    kind = heads.get(name)
    small = {key: value for key, value in TRUNK.items() if key in kind.__init__.__annotations__}
    head = kind(6, Classes(tuple("abcde"), torch.randn(5, 4), torch.rand(5, 5)), **small)
    for parameter in head.parameters():
        if (parameter == 0).all():
            parameter.data.normal_()
    logits = _Logits(head).eval().requires_grad_(False)
    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad():
        program = torch.export.export(logits, (torch.randn(2, 6, 4, 4),), dynamic_shapes=({0: batch},))
        for n in (1, 9):
            given = torch.randn(n, 6, 4, 4)
            torch.testing.assert_close(program.module()(given), logits(given))


class _Logits(torch.nn.Module):
    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, maps):
        return self.head(maps).logits


# ONNX


@pytest.fixture(scope="module")
def onnxruntime():
    pytest.importorskip("onnx", reason="onnx is not installed: pip install 'partlabel[export]'")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install 'partlabel[export]'")
    return pytest.importorskip(
        "onnxruntime", reason="onnxruntime is not installed: pip install 'partlabel[export]'"
    )


@pytest.mark.slow
def test_the_votes_of_a_soft_memory_are_in_the_graph(table, tmp_path, onnxruntime):
    """Also of batches of other sizes than the one that was traced."""
    tagger = Tagger(table.classes, "evidence", {"sharpness": 5.0}, "average", **SMALL)
    tagger.fit(table, out=tmp_path / "run")
    tagger.model.weight.copy_(torch.tensor([1.0, 0.5]))
    session = onnxruntime.InferenceSession(graph_export.to_onnx(tagger, tmp_path / "model.onnx"))
    for n in (1, 5):
        found = session.run(["logits"], {"image": images(n).numpy()})[0]
        np.testing.assert_allclose(found, said(tagger, images(n))[0], rtol=0, atol=1e-3)


@pytest.mark.slow
@every_kind
def test_onnxruntime_says_what_the_model_says(runs, table, kind, tmp_path, onnxruntime):
    tagger = tuned(Tagger.load(runs(kind)), table)
    session = onnxruntime.InferenceSession(graph_export.to_onnx(tagger, tmp_path / "model.onnx"))
    (given,), found = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("image", "tensor(float)", ["batch", 3, 32, 32])
    assert [(each.name, each.type, each.shape) for each in found] == [
        ("logits", "tensor(float)", ["batch", 4]),
        ("probability", "tensor(float)", ["batch", 4]),
    ]
    for n in (1, 3, 8, 19):
        outputs = session.run(["logits", "probability"], {"image": images(n).numpy()})
        for ours, theirs in zip(said(tagger, images(n)), outputs, strict=True):
            np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-4)
    about = json.loads(session.get_modelmeta().custom_metadata_map["partlabel"])
    assert about == {
        "format": 1,
        "name": tagger.name,
        "classes": list(table.classes),
        "image_size": 32,
        "interpolation": "bicubic",
        "thresholds": list(tagger.tuning.thresholds),
        "version": about["version"],
    }
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_without_tuning_probabilities_are_the_sigmoid_and_there_are_no_thresholds(
    runs, tmp_path, onnxruntime
):
    path = graph_export.to_onnx(Tagger.load(runs("bce-average")), tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(path)
    assert json.loads(session.get_modelmeta().custom_metadata_map["partlabel"])["thresholds"] is None
    logits, sure = session.run(["logits", "probability"], {"image": images(2).numpy()})
    np.testing.assert_allclose(sure, 1 / (1 + np.exp(-logits)), rtol=1e-6)


def test_weights_beyond_the_limit_lie_in_a_second_file(runs, monkeypatch, tmp_path, onnxruntime):
    monkeypatch.setattr(graph_export, "ONE_FILE", 0)
    tagger = Tagger.load(runs("bce-average"))
    path = graph_export.to_onnx(tagger, tmp_path / "deep/model.onnx")
    assert sorted(each.name for each in path.parent.iterdir()) == ["model.onnx", "model.onnx.data"]
    logits = onnxruntime.InferenceSession(path).run(["logits"], {"image": images(2).numpy()})[0]
    np.testing.assert_allclose(logits, said(tagger, images(2))[0], atol=1e-4)


def test_a_missing_extra_is_named(runs, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'partlabel\[export\]'"):
        graph_export.to_onnx(Tagger.load(runs("bce-average")), tmp_path / "model.onnx")


def test_other_suffixes_are_refused(runs, tmp_path):
    tagger = Tagger.load(runs("bce-average"))
    with pytest.raises(ValueError, match=r"model\.pt has to end in \.pt2"):
        graph_export.to_torch(tagger, tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"model has to end in \.onnx"):
        graph_export.to_onnx(tagger, tmp_path / "model")


def test_what_differs_from_the_model_is_not_left_behind(runs, monkeypatch, tmp_path):
    check = graph_export._check

    def off(graph, tagger, run):
        check(graph, tagger, lambda image: [np.asarray(out) + 0.01 for out in run(image)])

    monkeypatch.setattr(graph_export, "_check", off)
    with pytest.raises(ValueError, match=r"differs from the model by \d\.\de-0\d in logits"):
        graph_export.to_torch(Tagger.load(runs("bce-average")), tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())


# The verb


@pytest.mark.slow
def test_the_verb_writes_each_kind(runs, tmp_path, capsys, onnxruntime):
    run = str(runs("bce-average"))
    assert main(["export", run, "--to", "hub", "--out", str(tmp_path / "model")]) == 0
    assert main(["export", run, "--to", "torch", "--out", str(tmp_path / "a.pt2")]) == 0
    assert main(["export", run, "--out", str(tmp_path / "a.onnx")]) == 0
    printed = capsys.readouterr().out
    assert f"model in {tmp_path / 'model'}; fill in licence and data in" in printed
    assert "a.onnx: image [batch, 3, 32, 32] to logits and probability of 4 classes" in printed
    assert "mAP" in (tmp_path / "model/README.md").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"model", "a.pt2", "a.onnx"}


def test_training_state_and_a_graph_do_not_go_together(runs, capsys):
    assert main(["export", str(runs("bce-average")), "--to", "torch", "--with-training-state"]) == 2
    assert "an exported graph cannot be trained" in capsys.readouterr().err


CODE = """
from pathlib import Path
from partlabel.methods.bce import BCE
Path({mark!r}).touch()
class Mine(BCE):
    pass
"""


@pytest.fixture
def described(runs, tmp_path, monkeypatch):
    """Makes a model's folder whose description names other things, and stands in a folder; a mark is left by code."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    mark = tmp_path / "it-ran"

    def write(code):
        code.parent.mkdir(parents=True, exist_ok=True)
        code.write_text(CODE.format(mark=str(mark)))

    def make(folder, names, here, code):
        shutil.copytree(runs("bce-average"), folder)
        description = json.loads((folder / "config.json").read_text())
        description["tagger"] |= names
        (folder / "config.json").write_text(json.dumps(description))
        write(code)
        monkeypatch.chdir(here)
        sys.path.append(str(here))
        return mark

    return make


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ({"method": "strangers_a.Mine"}, "strangers_a.py"),
        ({"head": "strangers_b.Mine"}, "strangers_b.py"),
        ({"method": "strangers_c.deep.Mine"}, "strangers_c/deep.py"),
        ({"method": "strangers_d.deep.Mine"}, "strangers_d/__init__.py"),
        ({"method": "strangers-e.Mine"}, "strangers-e.py"),
        ({"method": "logicmix", "method_args": {"inner": "strangers_f.Mine"}}, "strangers_f.py"),
        ({"method": "logicmix", "method_args": {"inner": "logicmix", "inner_args": {"inner": "strangers_g.Mine"}}},
         "strangers_g.py"),
    ],
)  # fmt: skip
def test_code_that_comes_with_a_model_is_not_run(described, collection, tmp_path, capsys, names, code):
    model = tmp_path / "model"
    ran = described(model, names, tmp_path, model / code)
    os.chdir(model)
    assert main(["predict", ".", str(collection / "photos"), "--out", str(tmp_path / "p.csv")]) == 2
    said = capsys.readouterr().err
    assert "config.json names 'strangers" in said and "does not belong to an installed package" in said
    assert "if you trust it, give --trust (trust=True), or install its package" in said
    assert not ran.exists()


def test_code_of_a_model_is_not_run_by_a_link_to_it_either(described, tmp_path):
    model = tmp_path / "model"
    ran = described(model, {"method": "linked_to.Mine"}, tmp_path, model / "code.py")
    (tmp_path / "linked_to.py").symlink_to(model / "code.py")
    with pytest.raises(
        ValueError,
        match=r"names 'linked_to.Mine', and .*linked_to.py does not belong to an installed package",
    ):
        Tagger.load(model)
    assert not ran.exists()


@pytest.mark.parametrize("place", [".", "beside", "runs/a"])
def test_code_beside_a_model_is_run_only_where_it_is_trusted(described, collection, tmp_path, capsys, place):
    """In the working directory, in a folder of `sys.path`, in the model's own."""
    name = {".": "beside_runs", "beside": "beside_model", "runs/a": "inside_model"}[place]
    code = tmp_path / place / f"{name}.py"
    ran = described(tmp_path / "runs/a", {"method": f"{name}.Mine"}, tmp_path, tmp_path / "elsewhere.py")
    code.parent.mkdir(exist_ok=True)
    code.write_text(CODE.format(mark=str(ran)))
    sys.path.append(str(code.parent)) if place == "beside" else sys.path.remove(str(tmp_path))
    words = ["predict", "runs/a", str(collection / "photos"), "--out", "p.csv"]
    assert main(words) == 2
    assert not ran.exists()
    path = list(sys.path)
    assert main([*words, "--trust"]) == 0, capsys.readouterr().err
    assert ran.exists() and sys.path == path


@pytest.mark.parametrize("verb", ["evaluate", "fill", "tune", "review", "export", "predict"])
def test_every_verb_that_loads_a_model_can_trust_it(verb, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert "--trust" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["antigravity.Mine", "idlelib.pyshell.Mine"])
def test_modules_of_python_are_no_methods(described, tmp_path, name):
    described(tmp_path / "model", {"method": name}, tmp_path, tmp_path / "unused.py")
    with pytest.raises(
        ValueError, match=f"names '{name}', which is a module of Python, not a method or head"
    ):
        Tagger.load(tmp_path / "model")


@pytest.mark.parametrize(
    "backbone",
    ["hf-hub:somebody/x", "hf_hub:somebody/x", "timm/resnet50", "local-dir:/etc", "../x", "/etc/x"],
)
def test_a_model_that_would_ask_a_network_or_read_elsewhere_is_refused(
    described, tmp_path, monkeypatch, backbone
):
    described(tmp_path / "model", {"backbone": backbone}, tmp_path, tmp_path / "unused.py")
    monkeypatch.setattr("timm.create_model", lambda *args, **options: pytest.fail("timm was asked"))
    with pytest.raises(ValueError, match="is no plain name of a model"):
        Tagger.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("[" * 200_000, "its brackets are nested too deeply"),
        ("\x00", "is not JSON"),
        ("[]", "the file is \\[\\], not an object"),
        ("{}", "does not describe a tagger: 'classes' is missing"),
        ('{"classes": "dog", "tagger": {}, "name": "a"}', "classes is 'dog', not a list"),
        ('{"classes": [1], "tagger": {}, "name": "a"}', r"classes\[0\] is 1, not a text"),
        ('{"classes": ["a", "a"], "tagger": {}, "name": "a"}', "has to name each class once"),
        ('{"classes": ["a"], "tagger": [], "name": "a"}', r"tagger is \[\], not an object"),
        ('{"classes": ["a"], "tagger": {}, "name": 1}', "name is 1, not a text"),
        ('{"classes": ["a"], "tagger": {"metod": "sst"}, "name": "a"}', "unknown key 'metod' .did you mean 'method'"),
        ('{"classes": ["a"], "tagger": {"method": 3}, "name": "a"}', "tagger.method is 3, not a text"),
        ('{"classes": ["a"], "tagger": {"method": "bce"}, "name": "a"}', "'method' and its 'backbone'"),
        ('{"classes": ["a"], "tagger": {"method": "bce", "backbone": "resnet18", "image_size": -1}, "name": "a"}',
         "tagger.image_size is -1; it has to lie between 1 and"),
        ('{"classes": ["a"], "tagger": {"method": "no", "backbone": "resnet18"}, "name": "a"}', "no method 'no'"),
        ('{"classes": ["a"], "tagger": {"method": "bce", "backbone": "nono"}, "name": "a"}', "no model 'nono'"),
        ('{"classes": ["a"], "tagger": {"method": "bce", "backbone": "test_resnet", "head_args": {"x": 1}}, '
         '"name": "a"}', "has no option 'x'"),
    ],
)  # fmt: skip
def test_a_description_of_the_wrong_shape_names_the_file_and_the_key(runs, tmp_path, said, told):
    model = tmp_path / "model"
    shutil.copytree(runs("bce-average"), model)
    (model / "config.json").write_text(said)
    with pytest.raises(ValueError, match=told) as error:
        Tagger.load(model)
    assert str(model / "config.json") in str(error.value)


def test_an_export_to_the_hub_that_finds_no_room_leaves_no_half_folder(runs, tmp_path, capsys):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    words = ["export", str(runs("bce-average")), "--to", "hub", "--out", str(tmp_path / "model")]
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))  # config.json fits, the weights do not
    try:
        assert main(words) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capsys.readouterr().err
    assert said.startswith(f"partlabel: cannot write {tmp_path / 'model'}") and len(said.splitlines()) == 1
    assert os.listdir(tmp_path) == []
    assert main(words) == 0
