"""Two processes that train together come to what one process does: losses, memories, weights, the best epoch."""

import json
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import together
from made_once import made_once
from partlabel import Tagger, methods
from partlabel.core import distributed
from partlabel.data.images.loader import Batches
from partlabel.training.config import TrainingConfig
from partlabel.training.run_folder import Run

TESTS = Path(__file__).parents[1]
HELPERS = TESTS / "helpers"
SHARED = [
    *filter(together.has_state, methods.names()),
    "bce",
    "coherent",
    "ll_ct",
    "mixup_pme",
    "pu_mlc",
    "splice_mix",
]
"""Methods that remember something, and one of each kind of those that do not."""


@pytest.fixture(scope="module")
def both(collection, tmp_path_factory):
    """Runs by one process, and by two that Lightning brought together."""
    folder = made_once(tmp_path_factory, "ddp", lambda folder: train_both(collection, folder))
    return Run(folder / "one"), Run(folder / "two")


def train_both(collection, folder):
    """Train by one process in `one/` and by two in `two/`, at the same time."""
    one, two = folder / "one", folder / "two"
    together.train("sst", two / "begun_alone", stop=True)
    started = subprocess.Popen(
        [sys.executable, str(HELPERS / "together.py"), str(collection), str(two), *SHARED],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent / "src"), str(HELPERS)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for name in SHARED:
        together.train(name, one / name)
    together.train("sst", one / "clipped_sst", **together.CLIPPED)
    together.run(collection, one / "run")
    said = started.communicate(timeout=280)
    assert started.returncode == 0, said[1]
    assert said[0] == "" and "lightning" not in said[1], said


def told(both):
    return [json.loads((both[1].folder / f"told{rank}.json").read_text()) for rank in (0, 1)]


def near(one, other, where):
    """Nested numbers differ by 1e-5 at most."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            near(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), where
        for number, pair in enumerate(zip(one, other, strict=True)):
            near(*pair, f"{where}[{number}]")
    elif isinstance(one, torch.Tensor):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5, msg=lambda text: f"{where}: {text}")
    elif one is None or other is None:
        assert one is other, where
    else:
        assert one == pytest.approx(other, rel=1e-5, abs=1e-5), where


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [*SHARED, "run"],
)
def test_two_processes_end_as_one_with_the_same_batches(both, name):
    one, two = (Run(run.folder / name) for run in both)
    for path in ("last", "best"):
        ends = [torch.load(getattr(run, path), weights_only=True) for run in (one, two)]
        near(ends[0]["state_dict"], ends[1]["state_dict"], path)
        assert ends[0]["global_step"] == ends[1]["global_step"]
    history = [json.loads(run.history.read_text()) for run in (one, two)]
    near(*history, "history")  # the losses, the number and quality of pseudo-labels, the score on validation
    if name == "sst":
        assert all(epoch["pseudo_labels"]["cross"]["count"] > 0 for epoch in history[0][1:])
        assert ends[0]["state_dict"]["method.memory.count"].sum() > 0


def same_end(one, other, parts=("state_dict", "current_model_state", "averaging_state", "optimizer_states")):
    """Two runs came to the same, in the last epoch and the best one."""
    for path in ("last", "best"):
        ends = [torch.load(getattr(run, path), weights_only=True) for run in (one, other)]
        assert ends[0].keys() == ends[1].keys()
        assert ends[0]["global_step"] == ends[1]["global_step"]
        for part in parts:
            near(ends[0].get(part), ends[1].get(part), f"{path}: {part}")
    near(*[json.loads(run.history.read_text()) for run in (one, other)], "history")


@pytest.mark.slow
def test_two_processes_with_clipping_accumulation_and_an_average_end_as_one(both):
    same_end(*[Run(run.folder / "clipped_sst") for run in both])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stopped", "begun_alone"])
def test_two_processes_resume_a_run_of_two_and_of_one(both, name):
    whole, resumed = (Run(both[1].folder / run) for run in ("sst", name))
    same_end(whole, resumed)
    if name == "stopped":  # by the same processes: the same to the bit
        ends = [torch.load(run.last, weights_only=True)["state_dict"] for run in (whole, resumed)]
        assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[0])


@pytest.mark.slow
def test_one_process_resumes_a_run_of_two(both):
    left = both[1].folder / "left"
    assert len(json.loads(Run(left).history.read_text())) == 1
    together.train("sst", left, resume=True)
    same_end(Run(both[0].folder / "sst"), Run(left))


def test_sharded_parameters_are_refused():
    with pytest.raises(ValueError, match="strategy is 'fsdp', and sharded parameters are not supported"):
        TrainingConfig(strategy="fsdp")


@pytest.mark.slow
def test_a_tagger_loads_what_two_processes_trained(both):
    taggers = [Tagger.load(run.folder / "run") for run in both]
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(*[tagger.model(images) for tagger in taggers], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_shared_run_leaves_in_its_folder_what_a_run_does(both):
    one, two = (sorted(p.name for p in (run.folder / "run").iterdir()) for run in both)
    assert one == two
    assert not list(both[1].folder.rglob(".*")), "something was left half written"


@pytest.mark.slow
def test_rows_are_gathered_in_the_order_of_the_whole_batch_with_their_gradient(both):
    first, second = told(both)
    assert first["rows"] == second["rows"] == [0, 1, 2, 3, 4]
    # The losses are sum x^2 and 2 sum x^2, so a row's gradient is 6 x wherever it lies.
    assert first["gradient"] + second["gradient"] == [0, 6, 12, 18, 24]
    assert first["average"] == second["average"] == 0.5


@pytest.mark.slow
def test_a_method_that_does_not_gather_what_it_remembers_is_found_out(both):
    first, second = told(both)
    assert first["differing"] == second["differing"] == ["other"]
    assert first["Forgets"] == second["Forgets"]
    assert first["Forgets"].startswith("buffers differ between processes: seen; Forgets has to gather")


@pytest.mark.slow
def test_a_loss_that_is_not_finite_in_one_process_stops_both(both):
    first, second = told(both)
    assert first["Breaks"] == second["Breaks"]
    assert "not finite at step 2 (epoch 1, batch 2): bce = nan; images: " in first["Breaks"]
    order = np.random.default_rng([0, 0]).permutation(together.TRAINED)
    assert ", ".join(f"{row}.jpg" for row in order[14:21]) in first["Breaks"]


@pytest.mark.slow
def test_without_shared_batch_normalisation_processes_still_end_alike(both):
    """Each normalises by its own share, which is another training; what they keep is the mean."""
    one, two = (Run(both[1].folder / name) for name in ("bce", "own_moments"))
    mean = "method.head.standardise.running_mean"
    ends = [torch.load(run.last, weights_only=True)["state_dict"][mean] for run in (one, two)]
    assert not torch.allclose(*ends, rtol=1e-5, atol=1e-5)
    assert len(json.loads(two.history.read_text())) == 3  # nobody found that the processes had come apart


def flat(lists):
    return [*chain.from_iterable(lists)]


def shares(monkeypatch, count, batch_size, processes, epoch=0, **options):
    """Return the rows that each process gets, batch by batch."""
    found = []
    for rank in range(processes):
        monkeypatch.setattr(distributed, "rank_and_world_size", lambda rank=rank: (rank, processes))
        batches = Batches(count, batch_size, **options)
        batches.set_epoch(epoch)
        found.append([asked.rows for asked in batches])
        assert len(batches) == len(found[-1])
    return found


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 5), st.integers(0, 3))
def test_the_shares_of_a_batch_are_the_batch(count, batch_size, processes, epoch):
    with pytest.MonkeyPatch.context() as monkeypatch:
        (whole,) = shares(monkeypatch, count, batch_size, 1, epoch, shuffle=True)
        if processes > 1 and min(count, batch_size) < 2 * processes:
            with pytest.raises(ValueError, match=f"{processes} processes share batches of {batch_size}"):
                shares(monkeypatch, count, batch_size, processes, epoch, shuffle=True)
            return
        parts = shares(monkeypatch, count, batch_size, processes, epoch, shuffle=True)
    joined = [flat(batch) for batch in zip(*parts, strict=True)]
    assert flat(joined) == flat(whole)
    left = count % batch_size
    if not 1 < left < 2 * processes:  # a last batch too small for so many joins the one before
        assert joined == whole
    assert processes == 1 or min(len(share) for part in parts for share in part) >= 2


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(1, 20), st.integers(1, 5))
def test_every_image_is_evaluated_once_and_in_order(count, batch_size, processes):
    with pytest.MonkeyPatch.context() as monkeypatch:
        if processes > count:
            with pytest.raises(ValueError, match=f"{processes} processes share {count} validation images"):
                shares(monkeypatch, count, batch_size, processes, share=True)
            return
        parts = shares(monkeypatch, count, batch_size, processes, share=True)
        assert flat(flat(parts)) == list(range(count))
        # What is not shared, every process sees.
        assert (
            shares(monkeypatch, count, batch_size, processes)[-1]
            == shares(monkeypatch, count, batch_size, 1)[0]
        )


@pytest.mark.parametrize(
    ("given", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "2", "LOCAL_RANK": "0"}, False),  # torchrun, the second of two machines
        ({"SLURM_PROCID": "1"}, False),
        ({"LOCAL_RANK": "1", "NODE_RANK": "0"}, False),
        ({"NODE_RANK": "1"}, False),  # started by hand on the second machine
    ],
)
def test_one_process_alone_writes(monkeypatch, given, first):
    for name in ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert distributed.is_rank_zero() is first


def test_one_process_is_given_back_what_it_gave():
    value = torch.ones(3)
    assert distributed.all_reduce_mean(value) is value and distributed.all_reduce_sum(value) is value
    assert distributed.all_gather_rows(value)[0] is value
    assert distributed.unsynchronized({"any": value}) == []


def test_shared_moments_of_one_process_are_those_of_the_layer():
    """The same numbers as torch's layer and as timm's, which has an activation inside."""
    torch.manual_seed(0)
    images = together.Made(8, 0).images
    plain, shared = together.Maps(), together.Maps()
    shared.load_state_dict(plain.state_dict())
    distributed.share_moments(shared)
    for model in (plain, shared):
        (model(images) ** 2).sum().backward()
    torch.testing.assert_close(plain(images), shared(images))
    for (name, one), other in zip(plain.named_parameters(), shared.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-5, msg=name)
    for (name, one), other in zip(plain.named_buffers(), shared.buffers(), strict=True):
        torch.testing.assert_close(one, other, msg=name)
    distributed.own_moments(shared)
    torch.testing.assert_close(plain.eval()(images), shared.eval()(images), rtol=0, atol=1e-5)


def test_processes_that_would_not_know_of_each_other_are_refused():
    torchrun = {"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
    with pytest.raises(
        ValueError, match=r"started 4 processes, and devices is 1, .* give devices \(--devices 2\)"
    ):
        TrainingConfig().check_started(torchrun)
    TrainingConfig(devices=2, num_nodes=2).check_started(torchrun)
    TrainingConfig().check_started(torchrun | {"WORLD_SIZE": "1"})
    TrainingConfig().check_started({})
    with pytest.raises(
        ValueError, match="strategy is 'ddp_spawn', whose processes end with the trained weights"
    ):
        TrainingConfig(strategy="ddp_spawn")


def test_whether_several_processes_may_train():
    assert not TrainingConfig().several
    assert TrainingConfig(devices=2).several and TrainingConfig(num_nodes=2).several
    assert TrainingConfig(devices="auto").several  # it may be
    with pytest.raises(ValueError, match="num_nodes is 0; it has to be at least 1"):
        TrainingConfig(num_nodes=0)
