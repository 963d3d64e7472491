"""What a user chooses a backbone by: size, speed, licence of the weights. Nothing is downloaded."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from partlabel.nn.backbones._aliases import ALIASES
from partlabel.nn.frozen_runtime import CPU_BATCH, FrozenRuntime

WARM, TIMED = 1, 3
"""Batches before the measurement, and in it."""


class Speed(NamedTuple):
    """Milliseconds per photo on this machine, in batches of `CPU_BATCH`.

    Attributes:
        eager: By PyTorch.
        compiled: By OpenVINO, as for the photos of a collection; None where it is not installed, or cannot run the
            backbone.
    """

    eager: float
    compiled: float | None


@dataclass(frozen=True)
class BackboneFacts:
    """A backbone with a short name.

    Attributes:
        alias: Short name.
        model: Name in timm.
        parameters: Number of parameters without the classifier.
        side: Side in pixels of the images that it was trained on.
        speed: Time per photo; None if not measured.
        licence: Licence of the weights by timm's configuration; empty if it has none.
        output: `map`, or `tokens` with or without a class token.
        text_tower: Whether the weights were trained together with a text encoder.
        measured: Whether it was measured on labels in this project.
    """

    alias: str
    model: str
    parameters: int
    side: int
    speed: Speed | None
    licence: str
    output: str
    text_tower: bool
    measured: bool

    @property
    def megabytes(self) -> float:
        """Size of the weights in single precision, which is about that of the download."""
        return 4e-6 * self.parameters


def backbone_facts(alias: str, measure: bool = False) -> BackboneFacts:
    """Describe a backbone by its short name.

    Args:
        alias: Short name.
        measure: Whether to measure the time per photo, with random weights.
    """
    import timm

    named = ALIASES[alias]
    with torch.device("cpu" if measure else "meta"):
        model = timm.create_model(named.model, pretrained=False, num_classes=0)
    config: Any = model.pretrained_cfg
    prefix = getattr(model, "num_prefix_tokens", None)
    output = "map" if prefix is None else "tokens, class token" if prefix else "tokens"
    side = int(config["input_size"][-1])
    return BackboneFacts(
        alias,
        named.model,
        sum(each.numel() for each in model.parameters()),
        side,
        _speed(model, side) if measure else None,
        config.get("license") or "",
        output,
        named.text_tower,
        named.measured,
    )


class _Features(nn.Module):
    """The features of a model, without its classifier."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model.forward_features(images)


def _speed(model: nn.Module, side: int) -> Speed:
    features = _Features(model).eval()
    try:
        runtime: FrozenRuntime | None = FrozenRuntime(features, side)
    except Exception:  # not installed, or one of the many errors of its converter
        runtime = None
    photos = torch.zeros(CPU_BATCH, 3, side, side)
    return Speed(_milliseconds(features, photos), None if runtime is None else _milliseconds(runtime, photos))


@torch.no_grad()
def _milliseconds(run: Callable[[Tensor], Tensor], photos: Tensor) -> float:
    for count in range(WARM + TIMED):
        if count == WARM:
            began = time.monotonic()
        run(photos)
    return 1000 * (time.monotonic() - began) / (TIMED * len(photos))
