"""What the parts of `gpu_check.py` share: sizes, figures, and the time of a run on a device."""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch


class Sizes(NamedTuple):
    """How much is measured.

    Attributes:
        classes: Numbers of classes of the head, each with the images in a batch.
        repeats: Timed repeats of each.
        compile_for: Seconds of the part `head` after which nothing more is compiled.
        product: Side of the matrices whose product sets the peak.
        compiler: Backend of `torch.compile`.
        backbone: Backbone of the training steps, its pixels, images in a batch, and classes.
        narrow: Smaller widths of SSGRL's head and of the methods than their defaults, in training steps.
        precisions: Precisions of the training steps.
        steps: Training steps before the timed ones, timed ones, and those after them in which waits are counted.
        photos: Photos that are predicted.
        predictor: Backbone of the prediction, and its pixels.
        workers: Numbers of reading processes of the prediction.
    """

    classes: dict[int, int]
    repeats: int
    compile_for: float
    product: int
    compiler: str
    backbone: tuple[str, int, int, int]
    narrow: dict[str, int]
    precisions: tuple[str, ...]
    steps: tuple[int, int, int]
    photos: int
    predictor: tuple[str, int]
    workers: tuple[int, ...]


FULL = Sizes(
    classes={80: 32, 200: 32, 1000: 8},
    repeats=10,
    compile_for=120.0,
    product=8192,
    compiler="inductor",
    backbone=("resnet101", 448, 32, 80),
    narrow={},
    precisions=("32-true", "bf16-mixed"),
    steps=(6, 20, 3),
    photos=1500,
    predictor=("dinov2-s", 224),
    workers=(0, 8),
)
SMALL = Sizes(
    classes={8: 2},
    repeats=1,
    compile_for=3600.0,
    product=64,
    compiler="eager",
    backbone=("test_resnet", 32, 2, 3),
    narrow={
        "dim": 8,
        "attention_dim": 8,
        "output_dim": 8,
        "pair_dim": 4,
        "pair_hidden_dim": 4,
        "memory_size": 3,
    },
    precisions=("bf16-mixed",),
    steps=(2, 1, 1),
    photos=3,
    predictor=("test_resnet", 32),
    workers=(0,),
)


class Figure(NamedTuple):
    """One measured value.

    Attributes:
        case: What was measured, of the kinds that a part compares.
        measure: Name of the value, with its unit.
        value: The value; NaN where it could not be measured.
        note: Why not, or where.
    """

    case: str
    measure: str
    value: float
    note: str = ""


def seconds(run: Callable[[], Any], repeats: int, device: torch.device) -> float:
    """Return the median seconds of a run, after one that is not counted."""
    taken = []
    for _ in range(repeats + 1):
        awaited(device)
        began = time.perf_counter()
        run()
        awaited(device)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken[1:])


def awaited(device: torch.device) -> None:
    """Wait until a device has done all that was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def free(device: torch.device) -> None:
    """Give memory that is not in use back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
