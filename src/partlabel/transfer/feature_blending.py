"""Features of two images, or of an image and a prototype, blended where a label is unknown (SARB, AAAI 2022; DSRB).

A blend of something that may be there and something that is has a known answer: the share of what is.
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
    """`kept f + (1 - kept) other` at `where`, `f` elsewhere."""
    return torch.where(where[..., None], kept * features + (1 - kept) * other, features)


def targets(where: Bool[Tensor, "batch class"], kept: Float[Tensor, ""]) -> Targets:
    """Present to the share that came from elsewhere. What is kept does not learn from what it promises."""
    said = where.float()
    return Targets(said * (1 - kept.detach()), said)


def drawn(
    where: Bool[Tensor, "row class"], most: int, generator: torch.Generator
) -> Bool[Tensor, "row class"]:
    """Of each row's cells at `where`, up to so many at random; none of a row that has none."""
    chance = (1 - torch.rand(where.shape, generator=generator, device=where.device)) * where
    best = chance.topk(min(most, where.shape[1]), 1).indices
    return where & torch.zeros_like(where).scatter(1, best, True)
