"""A run killed in the middle of an epoch and gone on with ends as one that was not, bit for bit."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import dying
import together
from partlabel import methods

TESTS = Path(__file__).parents[1]
HELPERS = TESTS / "helpers"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def killed(collection, out, step, **options):
    """Train in a process that is killed in a step; sees that it was, and after the first epoch."""
    words = [f"{name}={value}" for name, value in options.items()]
    source = str(TESTS.parent / "src")
    done = subprocess.run(
        [sys.executable, str(HELPERS / "dying.py"), str(collection), str(out), str(step), *words],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([source, str(HELPERS)])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stderr == "", "a run says nothing where nobody watches"
    assert len(json.loads((out / "history.json").read_text())) < 4


def same(one, other, where=""):
    """Nested states are equal to the bit."""
    assert type(one) is type(other), where
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for number, pair in enumerate(zip(one, other, strict=True)):
            same(*pair, f"{where}[{number}]")
    else:
        assert one == other, where


# 24 training photos less 20 % for validation make 19 or so: 5 batches an epoch, so step 12 is in the third epoch.
@pytest.mark.parametrize(
    ("options", "resumed"),
    [
        ({"ema": 0.8, "accumulate": 2, "schedule": "onecycle"}, {"workers": 2}),
        ({"cache": "features", "cache_views": 3, "schedule": "step", "step_epochs": 2}, {}),
    ],
    ids=["images, average, accumulation, other workers", "cached features"],
)
def test_a_killed_and_resumed_run_ends_as_an_uninterrupted_one(collection, tmp_path, options, resumed):
    cache = {"cache_dir": str(tmp_path / "cache")}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    dying.train(collection, whole, **options, **cache)
    killed(collection, broken, 12, **options, **cache)
    dying.train(collection, broken, resume=True, **options, **resumed, **cache)

    same(load_file(whole / "model.safetensors"), load_file(broken / "model.safetensors"))
    ends = [torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (whole, broken)]
    for part in (
        "state_dict",
        "current_model_state",
        "averaging_state",
        "optimizer_states",
        "lr_schedulers",
        "history",
    ):
        assert (part in ends[0]) == (part in ends[1])
        if part in ends[0]:
            same(ends[0][part], ends[1][part], part)
    assert ends[0]["global_step"] == ends[1]["global_step"]
    assert (whole / "metrics.csv").read_text() == (broken / "metrics.csv").read_text()
    history = ends[0]["history"]
    assert len(history) == 4
    # What could be lost was in use: memory, pseudo-labels, and a history in which epochs differ.
    assert ends[0]["state_dict"]["method.memory.count"].sum() > 0
    assert any(sum(source["count"] for source in epoch["pseudo_labels"].values()) for epoch in history[1:])
    assert len({epoch["terms"]["bce"] for epoch in history}) == 4


def test_training_in_bf16_is_finite_and_goes_on_to_the_bit(tmp_path):
    """The method that is trained by default; mixed precision multiplies in bfloat16 and keeps weights in float32."""
    name, options = "soft_sst", {"epochs": 2, "precision": "bf16-mixed"}
    together.train(name, tmp_path / "exact", epochs=2)
    together.train(name, tmp_path / "whole", **options)
    together.train(name, tmp_path / "broken", stop=True, **options)
    assert len(json.loads((tmp_path / "broken/history.json").read_text())) == 1
    together.train(name, tmp_path / "broken", resume=True, **options)
    exact, whole, broken = (
        torch.load(tmp_path / run / "checkpoints/last.ckpt", weights_only=True)
        for run in ("exact", "whole", "broken")
    )
    for part in ("state_dict", "optimizer_states", "history"):
        same(whole[part], broken[part], part)
    assert all(value.isfinite().all() for value in whole["state_dict"].values() if value.is_floating_point())
    weight = "method.backbone.layers.0.weight"
    assert whole["state_dict"][weight].dtype == torch.float32
    assert not torch.equal(whole["state_dict"][weight], exact["state_dict"][weight]), (
        "nothing was in bfloat16"
    )


@pytest.fixture(scope="module")
def forked():
    """Runs training in a process of its own, to be killed at its n-th moment: what it ended with, and its moments."""
    server = subprocess.Popen(
        [sys.executable, str(HELPERS / "dying.py")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(HELPERS)])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def run(collection, out, last=None, **options):
        asked = {"collection": str(collection), "out": str(out), "last": last} | options
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        status, passed = server.stdout.readline().split()
        return int(status), passed

    yield run
    server.stdin.close()
    assert server.wait(timeout=60) == 0


def head_for(name):
    return "dying.Dying" if methods.get(name).default_head == "ssgrl" or name == "sst" else "dying.Fading"


STATEFUL = [
    name for name in methods.names() if together.has_state(name) and not methods.get(name).needs_full_batch
]

IN_TURN = {(name, bool(number % 2)) for number, name in enumerate(STATEFUL)}
RUNS = sorted(IN_TURN | {("sst", False), ("sst", True)})
"""Every method on images or on cached features, in turn, since its state depends on neither; SST on both."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "cached"), RUNS)
def test_a_run_killed_at_random_moments_ends_as_one_that_was_not(collection, tmp_path, forked, name, cached):
    """Several times over: in a step, in validation, before and after a file is put in place."""
    options = {"method": name, "head": head_for(name), "epochs": 3}
    if cached:
        options |= {"cache": "features", "cache_views": 2, "cache_dir": str(tmp_path / "cache")}
    if "class vectors" in methods.get(name).needs:
        options["words"] = str(tmp_path / "words.txt")
        Path(options["words"]).write_text("red 1 0 2\ngreen 0 1 1\nblue 1 1 0\nyellow 2 1 1\n")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    status, moments = forked(collection, whole, **options)
    assert status == 0
    chance, kills = random.Random(f"{name} {cached}"), 0
    for _ in range(3):
        last = chance.randrange(int(moments) // 3)
        status, _ = forked(collection, broken, last, resume="auto", **options)
        assert status in (0, -signal.SIGKILL)
        kills += status != 0
    assert kills >= 2
    assert forked(collection, broken, resume="auto", **options)[0] == 0

    for file in ("model.safetensors", "completion.safetensors"):
        assert (whole / file).exists() == (broken / file).exists()
        if (whole / file).exists():
            same(load_file(whole / file), load_file(broken / file), file)
    ends = [torch.load(run / "checkpoints/last.ckpt", weights_only=True) for run in (whole, broken)]
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "history", "global_step"):
        same(ends[0][part], ends[1][part], part)
    for file in ("metrics.csv", "history.json", "validation.json"):
        assert (whole / file).read_text() == (broken / file).read_text(), file
    assert not list(broken.rglob(".*")), "what was half written is gone"


def test_every_method_that_remembers_is_killed():
    assert {"sst", "soft_sst"} <= set(STATEFUL)


def test_seeds_differ(collection, tmp_path):
    """That two runs agree says something only if runs can differ."""
    ends = []
    for seed in (3, 4):
        dying.train(collection, tmp_path / str(seed), epochs=1, seed=seed)
        ends.append(load_file(tmp_path / str(seed) / "model.safetensors"))
    assert not torch.equal(ends[0]["head.classifier.weight"], ends[1]["head.classifier.weight"])


def test_going_on_with_other_settings_names_them(collection, tmp_path):
    dying.train(collection, tmp_path / "a", epochs=1)
    with pytest.raises(
        ValueError, match=r"a holds a run with other settings: training.lr was 0.01 and is 0.02; resume"
    ):
        dying.train(collection, tmp_path / "a", resume=True, epochs=1, lr=0.02)


def test_a_run_is_not_overwritten_unasked(collection, tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no run to resume"):
        dying.train(collection, tmp_path / "a", resume=True)
    dying.train(collection, tmp_path / "a", resume="auto", epochs=1)
    with pytest.raises(
        FileExistsError, match=r"a holds a run: resume it by resume=True \(--resume\), or give"
    ):
        dying.train(collection, tmp_path / "a", epochs=1)
    before = (tmp_path / "a/model.safetensors").read_bytes()
    dying.train(collection, tmp_path / "a", resume="auto", epochs=1)  # it had ended: nothing is left to do
    assert (tmp_path / "a/model.safetensors").read_bytes() == before


def test_a_cache_that_does_not_fit_is_said_and_the_same_command_starts_with_more_room(collection, tmp_path):
    settings = {"epochs": 1, "cache": "features", "cache_dir": str(tmp_path / "cache")}
    with pytest.raises(
        ValueError, match=r"\(4 views of 24 images, .*--cache-size allows 10KB: give --cache-size"
    ):
        dying.train(collection, tmp_path / "a", cache_size="10KB", **settings)
    assert not list((tmp_path / "cache").rglob("*.npy"))
    assert not (tmp_path / "a").exists(), "no run has begun"
    dying.train(collection, tmp_path / "a", cache_size="1GB", **settings)


def test_a_run_killed_before_its_first_epoch_ended_starts_anew(collection, tmp_path):
    dying.train(collection, tmp_path / "whole", epochs=1)
    dying.train(collection, tmp_path / "broken", epochs=1)
    for left in ("model.safetensors", "checkpoints/last.ckpt", "checkpoints/best.ckpt"):
        (tmp_path / "broken" / left).unlink()
    dying.train(collection, tmp_path / "broken", resume=True, epochs=1)
    same(load_file(tmp_path / "whole/model.safetensors"), load_file(tmp_path / "broken/model.safetensors"))
