"""Training that one process or several do: every method on made images, and a run from a table to its folder.

Run as a script it trains with two processes, of which Lightning starts the second: `python together.py collection out`.
"""

import inspect
import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from timm.layers import BatchNormAct2d
from torch import nn
from torch.utils.data import Dataset

from partlabel import LabelTable, Tagger, methods
from partlabel.core import distributed
from partlabel.core.types import Batch
from partlabel.data.images.loader import loader
from partlabel.methods import Step
from partlabel.methods.bce import BCE
from partlabel.nn import heads
from partlabel.nn.classes import Classes
from partlabel.nn.heads.average import Average
from partlabel.training.config import TrainingConfig
from partlabel.training.lightning_module import TrainingModule
from partlabel.training.run_folder import Run
from partlabel.training.trainer import fit

CLASSES = ("cat", "dog", "bird", "fish")
TRAINED, JUDGED = 26, 9  # batches of 7, 7, 7 and 5 images, so two processes never have equally many
SMALL = {
    "dim": 8, "attention_dim": 8, "output_dim": 8, "pair_dim": 4, "pair_hidden_dim": 4, "memory_size": 3,
    "start_epoch": 1, "threshold": 0.2, "intra_threshold": 0.4, "cross_threshold": 0.2, "threshold_step": 0.05,
    "threshold_floor": 0.1,
}  # fmt: skip


class Maps(nn.Module):
    """A backbone that normalises over the batch, as torch's layers and as timm's do."""

    channels = 6

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            # No biases before a norm: it cancels them, and Adam makes steps of what is left of their gradients.
            nn.Conv2d(3, 6, 3, bias=False),
            nn.BatchNorm2d(6),
            nn.Tanh(),
            nn.Conv2d(6, 6, 2, bias=False),
            BatchNormAct2d(6),
        )
        # A head that standardises cancels the last gain, nearly: not learned, as there are no biases.
        self.layers[4].weight.requires_grad_(False)

    def forward(self, images):
        return self.layers(images)


class Made(Dataset):
    """Images of noise, their labels partly known, that show some of what they are."""

    def __init__(self, count, seed):
        random = torch.Generator().manual_seed(seed)
        self.labels = torch.randint(-1, 2, (count, len(CLASSES)), generator=random).to(torch.int8)
        self.images = torch.randn(count, 3, 6, 6, generator=random) + self.labels[:, :3, None, None]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, asked):
        return Batch(self.images[asked.rows], self.labels[asked.rows], torch.tensor(asked.rows))


class Stops(Callback):
    """Ends training after an epoch, as if the process had ended there."""

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = True


class Forgets(BCE):
    """Remembers the images of its own process alone."""

    def __init__(self, backbone, head):
        super().__init__(backbone, head)
        self.register_buffer("seen", torch.zeros(TRAINED))

    def step(self, batch, progress):
        self.seen[batch.index] += 1
        return super().step(batch, progress)


class Breaks(BCE):
    """Loses its way in step 2, in one process of two."""

    def step(self, batch, progress):
        (term,) = super().step(batch, progress).terms.values()
        return Step(
            {
                "bce": term
                * (math.nan if progress.step == 2 and distributed.rank_and_world_size() == (1, 2) else 1)
            }
        )


CLIPPED = {"clip": 0.05, "ema": 0.9, "accumulate": 2, "optimizer": "adamw", "weight_decay": 0.5}
"""Everything that is done to gradients, weights and batches."""

SEEDS = {"hst": 1}
"""Other seeds than 0, with which one process alone ends 1e-4 apart if its weights begin 1e-8 apart: Adam divides by
gradients of nearly 0."""


def small(constructor):
    return {k: v for k, v in SMALL.items() if k in inspect.signature(constructor).parameters}


def build(name):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        kind = methods.get(name)
        head = heads.get(kind.default_head)
        classes = Classes(CLASSES, torch.randn(4, 5), torch.rand(4, 4), torch.rand(4))
        return kind(Maps(), head(Maps.channels, classes, **small(head)), **small(kind))


def has_state(name):
    """Return whether a method has more state than its network; those that need a tower have other tests."""
    kind, classes = methods.get(name), Classes(("a", "b"), torch.eye(2))
    if kind.needs_tower:
        return False
    with torch.random.fork_rng():
        method = kind(Maps(), heads.get("residual")(Maps.channels, classes))
    return any(key.split(".")[0] not in ("backbone", "head") for key, _ in method.named_buffers())


def train(name, folder, stop=False, resume=False, **options):
    """Train a method, by name or class, on made images; the run's folder has what it came to.

    With `stop` only the first epoch, with `resume` what is left.
    """
    settings = {"epochs": 3, "batch_size": 7, "lr": 0.01, "accelerator": "cpu", "schedule": "constant"}
    settings["seed"] = SEEDS.get(name, 0)
    config = TrainingConfig(**(settings | options))
    learn, judge = Made(TRAINED, 1), Made(JUDGED, 2)
    truth = np.where(learn.labels == -1, 1, learn.labels).astype(np.int8)
    method = build(name) if isinstance(name, str) else name(Maps(), Average(Maps.channels, Classes(CLASSES)))
    learner = TrainingModule(method, config, CLASSES, [f"{n}.jpg" for n in range(TRAINED)], truth)
    fit(
        learner,
        loader(learn, config.batch_size, True, config.seed),
        loader(judge, 4, share=True),
        Run(folder),
        Run(folder).last if resume else None,
        [Stops()] if stop else [],
    )
    return learner


def run(collection, folder, **options):
    """Train a tagger on photos."""
    table = LabelTable.read(Path(collection) / "labels.csv", Path(collection) / "photos")
    shape = {"backbone": "test_resnet", "pretrained": False, "image_size": 64, "trainable": "last"}
    tagger = Tagger(table.classes, "sst", small(methods.get("sst")), head="residual", **shape)
    settings = {
        "epochs": 2,
        "batch_size": 5,
        "lr": 0.01,
        "val": 0.2,
        "seed": 3,
        "accelerator": "cpu",
        "weight_decay": 0.02,
    }
    return tagger.fit(table, out=folder, **(settings | options))


def stopped(kind, folder):
    """Return the message of a run that cannot continue."""
    try:
        train(kind, folder, devices=2)
    except (RuntimeError, FloatingPointError) as error:
        return str(error)
    return None


def told(rank):
    """Check the collectives between processes, each of which has a part."""
    part = torch.arange(5.0)[2 * rank : 2 + 3 * rank].requires_grad_()  # 0, 1 and 2, 3, 4
    (whole,) = distributed.all_gather_rows(part)
    # Each process has a loss of its own about all rows.
    ((1 + rank) * whole.square()).sum().backward()
    return {
        "rank": rank,
        "rows": whole.tolist(),
        "gradient": part.grad.tolist(),
        "average": float(distributed.all_reduce_mean(torch.tensor(float(rank)))),
        "differing": distributed.unsynchronized(
            {"same": torch.ones(3), "other": torch.full((2,), float(rank))}
        ),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    collection, out = Path(sys.argv[1]), Path(sys.argv[2])
    for method in sys.argv[3:]:
        train(method, out / method, devices=2)
    train("bce", out / "own_moments", devices=2, sync_batchnorm=False)
    run(collection, out / "run", devices=2)
    train("sst", out / "clipped_sst", devices=2, **CLIPPED)
    for name in ("stopped", "left"):
        train("sst", out / name, stop=True, devices=2)
    for name in ("stopped", "begun_alone"):
        train("sst", out / name, resume=True, devices=2)
    rank, _ = distributed.rank_and_world_size()
    errors = {kind.__name__: stopped(kind, out / kind.__name__) for kind in (Forgets, Breaks)}
    (out / f"told{rank}.json").write_text(json.dumps(told(rank) | errors))
