"""The one LightningModule: it sums named terms, logs them, keeps the best epoch, and stops at what is not finite."""

import json
import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Targets
from partlabel.core.types import Batch
from partlabel.data.images.loader import loader
from partlabel.methods import Method, Step
from partlabel.nn.classes import Classes
from partlabel.nn.heads.average import Average
from partlabel.training.config import TrainingConfig
from partlabel.training.lightning_module import TrainingModule, flat
from partlabel.training.optimizer import optimizer, schedule
from partlabel.training.run_folder import Run
from partlabel.training.trainer import fit, weights
from partlabel.training.training_run import warn_of_late_start
from partlabel.transfer.feature_bank import ImageMemory

CLASSES = ("cat", "dog")


class Whole(nn.Module):
    """A backbone of one convolution."""

    channels = 3

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, images):
        return self.conv(images)


class Fake(Method):
    """Two terms, of which one is a constant of the step."""

    def __init__(self):
        super().__init__(Whole(), Average(3, Classes(CLASSES)))
        self.times = []

    def step(self, batch, progress):
        self.times.append(progress)
        zero = 0 * self(batch.inputs).sum()
        return Step({"one": zero + 1.0, "step": zero + progress.step})


class Made(Dataset):
    """Images that hold their row; labels given."""

    def __init__(self, labels):
        self.labels = torch.tensor(labels, dtype=torch.int8)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, asked):
        rows = torch.tensor(asked.rows)
        images = rows.float()[:, None, None, None].expand(-1, 3, 2, 2).contiguous()
        return Batch(images, self.labels[rows], rows)


def train(method, labels, folder, val=None, truth=None, **options):
    config = TrainingConfig(**({"epochs": 2, "batch_size": 2, "accelerator": "cpu", "lr": 0.1} | options))
    truth = None if truth is None else np.array(truth, np.int8)
    learner = TrainingModule(method, config, CLASSES, [f"{n}.jpg" for n in range(len(labels))], truth)
    batches = loader(Made(labels), config.batch_size, True, config.seed)
    fit(learner, batches, None if val is None else loader(Made(val), 2), Run(folder))
    return learner


LABELS = [[1, 0], [0, 1], [1, -1], [0, 0], [-1, 1], [1, 0]]


def test_every_term_is_logged_by_its_name_and_summed(tmp_path):
    learner = train(Fake(), LABELS, tmp_path)
    # Three batches an epoch: the steps are 0, 1, 2 and 3, 4, 5.
    assert [epoch["terms"] for epoch in learner.history] == [
        {"one": 1.0, "step": 1.0, "loss": 2.0},
        {"one": 1.0, "step": 4.0, "loss": 5.0},
    ]
    assert json.loads((tmp_path / "history.json").read_text()) == learner.history
    header = (tmp_path / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"epoch", "lr", "terms/one", "terms/step", "terms/loss"} <= set(header)
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_a_method_is_told_the_time(tmp_path):
    times = train(Fake(), LABELS, tmp_path, seed=7).method.times
    assert [(t.epoch, t.step, t.batch) for t in times] == [
        (0, 0, 0), (0, 1, 1), (0, 2, 2), (1, 3, 0), (1, 4, 1), (1, 5, 2),
    ]  # fmt: skip
    assert {(t.batches, t.epochs, t.seed) for t in times} == {(3, 2, 7)}


def test_accumulated_batches_are_told_apart(tmp_path):
    times = train(Fake(), LABELS, tmp_path, accumulate=3).method.times
    assert [t.step for t in times] == list(range(6))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_run_and_is_named(tmp_path, value):
    class Failing(Fake):
        def step(self, batch, progress):
            terms, _ = super().step(batch, progress)
            terms["bad"] = terms["one"] * (value if progress.step == 4 else 1)
            return Step(terms)

    method = Failing()
    with pytest.raises(FloatingPointError) as caught:
        train(method, LABELS, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"the loss is not finite at step 4 (epoch 2, batch 1): bad = {value}; images: ")
    named = message.split("images: ")[1].split(";")[0].split(", ")
    other = train(Fake(), LABELS, tmp_path / "other")  # the same seed, so the same order
    order = [one.rows for one in _batches(other, epoch=1)]
    assert named == [f"{row}.jpg" for row in order[1]]


def _batches(learner, epoch):
    batches = loader(Made(LABELS), 2, True, learner.config.seed).sampler
    batches.set_epoch(epoch)
    return list(batches)


class Remembers(Fake):
    """Right about every image in the second epoch, wrong in all others."""

    def __init__(self):
        super().__init__()
        self.register_buffer("right", torch.tensor(0.0))

    def step(self, batch, progress):
        self.right.fill_(1.0 if progress.epoch == 1 else -1.0)
        return super().step(batch, progress)

    def forward(self, images):
        sign = torch.where(images[:, 0, 0, 0] < 2, 1.0, -1.0)[:, None] * self.right
        return sign.expand(-1, 2) + 0 * super().forward(images)


VAL = [[1, 1], [1, 1], [0, 0], [0, 0]]


def test_the_best_epoch_on_validation_is_kept(tmp_path):
    learner = train(Remembers(), LABELS, tmp_path, val=VAL, epochs=4)
    costs = [epoch["val"]["cross-entropy"] for epoch in learner.history]
    assert costs[1] < min(costs[0], *costs[2:])
    assert learner.method.right == 1 and not learner.method.training
    assert weights(tmp_path / "checkpoints/best.ckpt")["right"] == 1
    assert weights(tmp_path / "checkpoints/last.ckpt")["right"] == -1


def test_without_validation_the_last_epoch_is_kept(tmp_path):
    learner = train(Remembers(), LABELS, tmp_path, epochs=3)
    assert "val_map" not in learner.history[0] and learner.method.right == -1


def test_a_validation_that_cannot_be_scored_does_not_stop_the_run(tmp_path):
    learner = train(Remembers(), LABELS, tmp_path, val=[[-1, -1], [1, -1]], epochs=2)
    assert [epoch["val_map"] for epoch in learner.history] == [None, None]
    json.loads((tmp_path / "history.json").read_text(), parse_constant=pytest.fail)


class Guesses(Fake):
    """Says of every unknown label that it is present."""

    def step(self, batch, progress):
        return Step(super().step(batch, progress).terms, {"all": Targets.present(batch.labels == UNKNOWN)})


def test_pseudo_labels_are_counted_and_held_against_the_truth(tmp_path):
    truth = [[1, 0], [0, 1], [1, 1], [0, 0], [0, 1], [1, 0]]  # of the two unknown labels one is present
    (epoch,) = train(Guesses(), LABELS, tmp_path, truth=truth, epochs=1).history
    assert epoch["pseudo_labels"] == {"all": {"count": 2, "precision": 0.5, "recall": 1.0}}
    (epoch,) = train(Guesses(), LABELS, tmp_path / "b", epochs=1).history
    assert epoch["pseudo_labels"]["all"] == {"count": 2, "precision": None, "recall": None}


class Learns(Fake):
    """Pulls the backbone's bias, of which the gradient is 1, and nothing else."""

    def step(self, batch, progress):
        return Step({"bias": self.backbone.conv.bias.sum() + 0 * self(batch.inputs).sum()})


def test_the_average_is_that_of_the_weights_after_each_step(tmp_path):
    method = Learns()
    path = [method.backbone.conv.bias.detach().clone()]

    class Watched(Learns):
        def step(self, batch, progress):
            path.append(self.backbone.conv.bias.detach().clone())
            return super().step(batch, progress)

    method = Watched()
    path.clear()
    train(method, LABELS, tmp_path, ema=0.5, epochs=2, schedule="constant", weight_decay=0.0)
    last = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    after = [*path[1:], last["current_model_state"]["method.backbone.conv.bias"]]
    average = after[0]
    for bias in after[1:]:
        average = 0.5 * average + 0.5 * bias
    torch.testing.assert_close(method.backbone.conv.bias.detach(), average)
    torch.testing.assert_close(weights(tmp_path / "checkpoints/last.ckpt")["backbone.conv.bias"], average)


def test_a_memory_that_grows_does_so_beside_averaged_weights(tmp_path):
    class Remembers(Learns):
        def __init__(self):
            super().__init__()
            self.memory = ImageMemory(2, 10, 3)

        def step(self, batch, progress):
            self.memory.add(batch.inputs.mean((2, 3)), batch.labels, batch.index)
            return super().step(batch, progress)

    method = Remembers()
    train(method, LABELS, tmp_path, ema=0.5, epochs=1)
    assert sorted(method.memory.row.tolist()) == list(range(len(LABELS)))
    saved = weights(tmp_path / "checkpoints/last.ckpt")
    assert torch.equal(saved["memory.row"], method.memory.row)
    assert torch.equal(saved["memory.features"].float(), method.memory.features)


@pytest.mark.parametrize("val", [VAL, None], ids=["validation", "none"])
def test_what_is_found_at_the_end_of_an_epoch_is_kept_beside_averaged_weights(tmp_path, monkeypatch, val):
    """By the method at the end of validation, and before that by the processes, of batch normalisation's moments."""

    class Finds(Learns):
        def __init__(self):
            super().__init__()
            self.register_buffer("found", torch.tensor(0.0))
            self.register_buffer("agreed", torch.tensor(0.0))
            self.met = []

        def validate(self, batch):
            self.met.append((self.agreed.item(), self.found.item()))
            return super().validate(batch)

        def end_validation(self):
            self.found += 1

    method = Finds()
    monkeypatch.setattr("partlabel.core.distributed.average_moments", lambda model: model.agreed.add_(1))
    train(method, LABELS, tmp_path, val=val, ema=0.5, epochs=3, sync_batchnorm=False)
    assert method.met == ([(1, 0), (1, 0), (2, 1), (2, 1), (3, 2), (3, 2)] if val else [])
    last = torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)
    for state in ("state_dict", "current_model_state"):
        assert last[state]["method.agreed"] == 3 and last[state]["method.found"] == (3 if val else 0)


def test_accumulated_gradients_are_the_mean_over_batches_of_means_over_their_own_labels(tmp_path):
    gradients, shares = [], []

    class Counts(Learns):
        def step(self, batch, progress):
            known = (batch.labels != UNKNOWN).float()
            shares.append((batch.index.float() * known.sum(1)).sum().item() / known.sum().item())
            return Step({"mean": self.backbone.conv.bias[0] * shares[-1]})

    method = Counts()
    bias = method.backbone.conv.bias
    bias.register_post_accumulate_grad_hook(lambda p: gradients.append(p.grad[0].item()))
    train(method, LABELS, tmp_path, accumulate=2, epochs=1)
    # Three batches: a step after two, and one after the third, whose gradient is halved all the same.
    assert gradients == pytest.approx([shares[0] / 2, (shares[0] + shares[1]) / 2, shares[2] / 2])


def test_large_gradients_are_clipped(tmp_path):
    norms = []

    class Large(Learns):
        def step(self, batch, progress):
            terms, _ = super().step(batch, progress)
            return Step({"large": 1000 * terms["bias"]})

    method = Large()
    method.backbone.conv.bias.register_post_accumulate_grad_hook(lambda p: norms.append(p.grad.norm().item()))
    before = method.backbone.conv.bias.detach().clone()
    train(method, LABELS, tmp_path, clip=1e-9, schedule="constant", weight_decay=0.0, epochs=1)
    # Adam divides by the gradient's size; clipped to the size of its epsilon, it moves less than the rate.
    moved = (method.backbone.conv.bias.detach() - before).abs().max()
    assert min(norms) > 1000 and 0 < moved < 0.1 * 3 * 0.1 * 0.1


def rates(name, steps, **options):
    method = Fake()
    config = TrainingConfig(schedule=name, lr=1.0, **options)
    made = optimizer(method, config)
    scheduler = schedule(made, config, steps)
    seen = []
    for _ in range(steps):
        seen.append(made.param_groups[0]["lr"])
        made.step()
        scheduler.step()
    return seen


def test_schedules_are_what_they_are_called():
    assert rates("constant", 6, epochs=3) == [1.0] * 6
    # 20 epochs of 2 steps: the paper's tenth after 10 epochs.
    assert rates("step", 40, epochs=20) == pytest.approx([1.0] * 20 + [0.1] * 20)
    cosine = rates("cosine", 10, epochs=5)
    assert cosine == pytest.approx([(1 + math.cos(math.pi * t / 10)) / 2 for t in range(10)])
    cycle = rates("onecycle", 20, epochs=5)
    assert cycle[0] == pytest.approx(1 / 25) and max(cycle) == pytest.approx(1.0) and cycle[-1] < 1e-4
    assert cycle.index(max(cycle)) == 5


def test_adam_has_the_decay_in_the_gradient_and_adamw_apart():
    def moved(name):
        method = Fake()
        with torch.no_grad():
            method.backbone.conv.weight.fill_(100.0)
        made = optimizer(method, TrainingConfig(optimizer=name, lr=0.1, backbone_lr=1.0, weight_decay=0.01))
        method.backbone.conv.weight.grad = torch.zeros_like(method.backbone.conv.weight)
        made.step()
        return float(100 - method.backbone.conv.weight.detach().mean())

    assert moved("adam") == pytest.approx(0.1, rel=1e-3)  # any gradient moves Adam by the rate
    assert moved("adamw") == pytest.approx(0.1 * 0.01 * 100, rel=1e-3)
    assert moved("sgd") == pytest.approx(0.1 * 0.01 * 100, rel=1e-3)


def test_the_backbone_learns_at_a_share_of_the_rate_and_frozen_parameters_not_at_all():
    method = Fake()
    method.backbone.conv.bias.requires_grad_(False)
    head, _, backbone = optimizer(method, TrainingConfig(lr=0.1, backbone_lr=0.2)).param_groups
    assert head["lr"] == 0.1 and backbone["lr"] == pytest.approx(0.02)
    assert [p is method.backbone.conv.weight for p in backbone["params"]] == [True]


def test_biases_are_not_decayed_unless_asked():
    method = Fake()
    for asked in (False, True):
        config = TrainingConfig(weight_decay=0.3, decay_biases=asked)
        decay = {
            id(p): g["weight_decay"] for g in optimizer(method, config).param_groups for p in g["params"]
        }
        assert decay[id(method.head.linear.weight)] == 0.3
        assert decay[id(method.head.linear.bias)] == (0.3 if asked else 0.0)


def test_a_method_may_say_itself_what_learns_how():
    class Own(Fake):
        def parameter_groups(self, lr, weight_decay):
            return [{"params": self.head.parameters(), "lr": 3 * lr, "weight_decay": 2 * weight_decay}]

    (group,) = optimizer(Own(), TrainingConfig(lr=0.1, weight_decay=0.01)).param_groups
    assert group["lr"] == pytest.approx(0.3) and group["weight_decay"] == pytest.approx(0.02)


def test_chance_outside_a_run_is_left_alone(tmp_path):
    method, state = Fake(), torch.get_rng_state()
    train(method, LABELS, tmp_path, epochs=1)
    assert torch.equal(state, torch.get_rng_state())


def test_an_unknown_setting_names_the_nearest():
    with pytest.raises(TypeError, match=r"no training option 'epoch' \(did you mean 'epochs'\?\)"):
        TrainingConfig().with_options(epoch=3)
    with pytest.raises(ValueError, match="epochs is 0; it has to be at least 1"):
        TrainingConfig(epochs=0)


def test_numbers_of_an_epoch_are_named_by_their_path():
    assert flat({"epoch": 1, "terms": {"bce": 0.5}, "pseudo_labels": {"a": {"precision": None}}}) == {
        "epoch": 1,
        "terms/bce": 0.5,
    }


def test_a_cache_size_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"'lots' is not a size; write it as 20GB"):
        TrainingConfig(cache_size="lots")


def test_a_run_that_ends_before_its_method_begins_says_so():
    method = Fake()
    method.start_epoch = 5
    with pytest.warns(
        UserWarning,
        match=r"from epoch 5 \(counted from 0\) on, and epochs is 5: give more epochs \(--epochs\)",
    ):
        warn_of_late_start(method, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_late_start(method, 6)
        warn_of_late_start(Fake(), 1)
