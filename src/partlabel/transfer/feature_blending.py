"""Blending of two images' features, or of a feature and a prototype, where a label is unknown (SARB, AAAI 2022; DSRB).

A blend of a feature whose label is unknown with one that is known present has a known target: the share of the latter.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from partlabel.core.targets import Targets


def blend(
    features: Float[Tensor, "batch class feature"],
    other: Float[Tensor, "*batch class feature"],
    where: Bool[Tensor, "batch class"],
    kept: Float[Tensor, ""],
) -> Float[Tensor, "batch class feature"]:
    """Compute `kept f + (1 - kept) other` at `where`, `f` elsewhere."""
    return torch.where(where[..., None], kept * features + (1 - kept) * other, features)


def targets(where: Bool[Tensor, "batch class"], kept: Float[Tensor, ""]) -> Targets:
    """Build targets of blended labels: present to the share that was blended in; `kept` gets no gradient from it."""
    weight = where.float()
    return Targets(weight * (1 - kept.detach()), weight)


def drawn(
    where: Bool[Tensor, "row class"], most: int, generator: torch.Generator
) -> Bool[Tensor, "row class"]:
    """Draw, in each row, a given number of cells at `where`, or all of them where there are fewer."""
    chance = (1 - torch.rand(where.shape, generator=generator, device=where.device)) * where
    best = chance.topk(min(most, where.shape[1]), 1).indices
    return where & torch.zeros_like(where).scatter(1, best, True)
