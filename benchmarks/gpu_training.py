"""Training steps on a device, and their waits for it: a part of `gpu_check.py`."""

import inspect
import math
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from gpu_measure import Figure, Sizes, awaited, free
from lightning.pytorch import Callback
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import Dataset

from partlabel import methods
from partlabel.core.types import Batch
from partlabel.data.images.loader import loader
from partlabel.nn import backbone as backbones
from partlabel.nn import heads
from partlabel.nn.classes import Classes
from partlabel.training.config import TrainingConfig
from partlabel.training.lightning_module import TrainingModule
from partlabel.training.run_folder import Run
from partlabel.training.trainer import fit

KNOWN, SHOWN = 0.1, 0.05
"""Shares of the labels that are known, and of the labels that are present, in training steps."""
WAITS = ("cudaStreamSynchronize", "aten::_local_scalar_dense", "aten::nonzero")
"""Events of the profiler that mean that the host waits for the device."""


class RandomPixels(Dataset[Batch]):
    """Batches of random pixels and labels, which lie on the device already."""

    def __init__(self, images: int, size: int, batch: int, classes: int, device: torch.device) -> None:
        self.count = images
        with torch.device(device):
            torch.manual_seed(0)
            labels = torch.where(torch.rand(batch, classes) < SHOWN, 1, 0).to(torch.int8)
            labels[torch.rand(batch, classes) >= KNOWN] = -1
            labels[:, 0] = 1
            self.batch = Batch(torch.randn(batch, 3, size, size), labels, torch.arange(batch))

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, asked: Any) -> Batch:
        return self.batch


class Watch(Callback):
    """Time some steps of a training, and count in some further ones how often the host waits for the device."""

    def __init__(self, steps: tuple[int, int, int], device: torch.device) -> None:
        before, timed, after = steps
        self.timed, self.watched = (
            range(before, before + timed),
            range(before + timed, before + timed + after),
        )
        self.device = device
        self.seconds = math.nan
        self.waits: Counter[str] = Counter()
        self.profiled: Counter[str] = Counter()
        self._stack = ExitStack()

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Begin to time, or to count."""
        if batch_idx in (self.timed[0], self.watched[0]):
            awaited(self.device)
        if batch_idx == self.timed[0]:
            self.began = time.perf_counter()
        if batch_idx == self.watched[0]:
            on_gpu = self.device.type == "cuda"
            kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
            self.recorder = self._stack.enter_context(profile(activities=kinds))
            self.said = self._stack.enter_context(warnings.catch_warnings(record=True))
            warnings.simplefilter("always")
            if on_gpu:
                torch.cuda.set_sync_debug_mode("warn")

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End it."""
        if batch_idx == self.timed[-1]:
            awaited(self.device)
            self.seconds = (time.perf_counter() - self.began) / len(self.timed)
        if batch_idx == self.watched[-1]:
            if self.device.type == "cuda":
                torch.cuda.set_sync_debug_mode("default")
            self._stack.close()
            where = [f"{Path(each.filename).name}:{each.lineno}" for each in self.said
                     if "synchronizing" in str(each.message)]  # fmt: skip
            self.waits.update(where)
            self.profiled.update({e.key: e.count for e in self.recorder.key_averages() if e.key in WAITS})


def training(sizes: Sizes, device: torch.device) -> Iterator[Figure]:
    """Time training steps of the trunk and of the methods on it, and count their waits for the device."""
    _, size, batch, count = sizes.backbone
    steps = sum(sizes.steps) + 1  # the last one waits for the losses of the epoch
    dataset = RandomPixels(batch * steps, size, batch, count, device)
    for precision in sizes.precisions:
        for method in ("ssgrl", "sst", "sarb", "hst"):
            case = f"{method}, {precision}"
            watch = Watch(sizes.steps, device)
            config = TrainingConfig(
                epochs=1, batch_size=batch, val=0.0, precision=precision,
                accelerator="gpu" if device.type == "cuda" else "cpu",
            )  # fmt: skip
            learner = TrainingModule(
                _network(method, sizes), config, [str(n) for n in range(count)], ["0"] * batch
            )
            with tempfile.TemporaryDirectory() as folder:
                fit(learner, loader(dataset, batch, True), None, Run(Path(folder)), callbacks=[watch])
            yield Figure(case, "images a second", batch / watch.seconds)
            waits = sum(watch.waits.values()) / len(watch.watched)
            yield Figure(case, "waits a step, sync debug mode", waits, _most_often(watch.waits))
            for event in WAITS:
                yield Figure(case, f"{event} a step", watch.profiled[event] / len(watch.watched))
            del learner
            free(device)


def _network(method: str, sizes: Sizes) -> methods.Method:
    """Build a method on SSGRL's head, which transfers from the first epoch on."""
    backbone, size, _, count = sizes.backbone
    torch.manual_seed(0)
    graph = torch.rand(count, count)
    classes = Classes(
        tuple(str(n) for n in range(count)), torch.randn(count, 300), graph / graph.sum(1, keepdim=True)
    )
    trunk = backbones.create(backbone, pretrained=False, trainable="last", image_size=size)
    kind, head = methods.get(method), heads.get("ssgrl")
    wanted = sizes.narrow | {"start_epoch": 0}
    return kind(trunk, head(trunk.channels, classes, **_taken(head, wanted)), **_taken(kind, wanted))


def _taken(constructor: Callable[..., Any], options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that a constructor has."""
    return {name: options[name] for name in inspect.signature(constructor).parameters if name in options}


def _most_often(where: Counter[str]) -> str:
    return ", ".join(f"{place} ({count})" for place, count in where.most_common(5))
