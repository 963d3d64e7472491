"""What a user chooses a backbone by: size, speed, licence of the weights. Nothing is downloaded."""

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from partlabel.nn.backbones._aliases import ALIASES

WARM, TIMED = 1, 5
"""Photos before the measurement, and in it."""


@dataclass(frozen=True)
class BackboneFacts:
    """A backbone with a short name.

    Attributes:
        alias: Short name.
        model: Name in timm.
        parameters: Number of parameters without the classifier.
        side: Side in pixels of the images that it was trained on.
        milliseconds: Time per photo on this machine; None if not measured.
        licence: Licence of the weights by timm's configuration; empty if it has none.
        output: `map`, or `tokens` with or without a class token.
        text_tower: Whether the weights were trained together with a text encoder.
        measured: Whether it was measured on labels in this project.
    """

    alias: str
    model: str
    parameters: int
    side: int
    milliseconds: float | None
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
        measure: Whether to measure the time per photo, with random weights, one photo at a time.
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
        _milliseconds(model, side) if measure else None,
        config.get("license") or "",
        output,
        named.text_tower,
        named.measured,
    )


@torch.no_grad()
def _milliseconds(model: nn.Module, side: int) -> float:
    model.eval()
    photo = torch.zeros(1, 3, side, side)
    for count in range(WARM + TIMED):
        if count == WARM:
            began = time.monotonic()
        model.forward_features(photo)  # type: ignore[operator]
    return 1000 * (time.monotonic() - began) / TIMED
