"""Training on a GPU: the same numbers, and steps that do not wait for it. Without a GPU the same tests run on a CPU."""

import numpy as np
import pytest
import torch

from partlabel import Tagger, methods
from partlabel.core.types import Batch, Progress
from partlabel.testing.methods import build_method, example_batch
from partlabel.training import host_values
from partlabel.training.config import TrainingConfig
from partlabel.training.lightning_module import TrainingModule
from small import QUICK, SMALL
from waiting import no_waiting

BEGUN = Progress(epoch=30, step=200, batch=2, batches=7, epochs=40)
gpu = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")]
devices = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=gpu)])


def on(batch, device):
    return Batch(*(each.to(device) for each in batch))


def stepped(name, device, **options):
    """A method after a step and its backward pass."""
    method = build_method(methods.get(name)).to(device).train()
    vars(method).update(options)
    torch.stack(list(method.step(on(example_batch(8), device), BEGUN).terms.values())).sum().backward()
    return method


@devices
@pytest.mark.parametrize("name", [name for name in methods.names() if not methods.get(name).needs_full_batch])
def test_a_step_waits_for_nothing(name, device, monkeypatch):
    monkeypatch.setitem(host_values.LAG, "cpu", 3)
    method = build_method(methods.get(name)).to(device).train()
    config = TrainingConfig(accelerator="cpu", sync_batchnorm=False)
    truth = np.ones((8, method.head.num_classes), np.int8)
    learner = TrainingModule(method, config, [str(n) for n in range(truth.shape[1])], ["0"] * 8, truth)
    monkeypatch.setattr(learner, "progress", lambda batch: BEGUN)
    monkeypatch.setattr(learner, "log", lambda *_, **__: None)
    batch = on(example_batch(8), device)
    learner.on_fit_start()
    for _ in range(2):  # the first step makes prototypes, the second finds them
        learner.training_step(batch, 2)
    with no_waiting(device):
        learner.training_step(batch, 2).backward()
    assert learner._losses._asked, "or losses would have been read at once"


@devices
def test_what_would_wait_is_refused(device):
    one = torch.ones(3, device=device)
    for waits in (
        lambda: one.sum().item(),
        lambda: float(one[0]),
        lambda: one[one > 0],
        lambda: one.nonzero(),
    ):
        with pytest.raises((AssertionError, RuntimeError), match=r"waits|synchroniz"), no_waiting(device):
            waits()


@devices
@pytest.mark.parametrize("name", ["ssgrl", "sst"])
def test_a_step_is_that_of_a_cpu(name, device):
    # Draws of the contrastive loss differ between devices.
    ours, theirs = (stepped(name, each, contrast_weight=0.0) for each in (device, "cpu"))
    expected = dict(theirs.named_parameters()) | dict(theirs.named_buffers())
    for key, value in {**dict(ours.named_parameters()), **dict(ours.named_buffers())}.items():
        torch.testing.assert_close(value.cpu(), expected[key], rtol=1e-4, atol=1e-5)
        if value.grad is not None:
            torch.testing.assert_close(value.grad.cpu(), expected[key].grad, rtol=1e-3, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_tagger_trained_on_a_gpu_predicts_the_same_on_a_cpu(drawn, tmp_path):
    tagger = Tagger(drawn.classes, "sst", **SMALL)
    tagger.fit(drawn, out=tmp_path, **QUICK | {"accelerator": "gpu", "epochs": 2})
    on_cpu = tagger.predict(drawn).drop("image").to_numpy()
    np.testing.assert_allclose(tagger.to("cuda").predict(drawn).drop("image").to_numpy(), on_cpu, atol=1e-4)


def test_late_copies_come_in_order_and_all_of_them(monkeypatch):
    monkeypatch.setitem(host_values.LAG, "cpu", 2)
    values = host_values.HostValues()
    came = [[about for _, about in values.add(torch.ones(1), step)] for step in range(4)]
    assert came == [[], [], [0], [1]]
    assert [about for _, about in values.rest()] == [2, 3]
