"""Votes of similar images by a kernel density: part of the sources `similar_images` and `similar_texts`."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.targets import Labels
from partlabel.transfer.feature_bank import ImageMemory, in_parts

MOST = 16_384
"""Maximum number of stored images."""


class Neighbours(nn.Module):
    """A memory of features with labels, and the evidence of its kernel density.

    Args:
        classes: Number of classes.
        dim: Length of a feature.
        sharpness: Sharpness of the kernel; the larger, the more the nearest neighbours dominate.
    """

    def __init__(self, classes: int, dim: int, sharpness: float) -> None:
        super().__init__()
        self.memory = ImageMemory(classes, MOST, dim)
        self.sharpness = sharpness

    def fit(self, features: Float[Tensor, "image dim"], labels: Labels) -> Float[Tensor, "image class"]:
        """Store images; return the evidence of each from all others."""
        rows = torch.arange(len(features))
        self.memory.add(features, labels, rows)
        return in_parts(self.memory.evidence, features, self.sharpness, rows)

    def forward(self, features: Float[Tensor, "image dim"]) -> Float[Tensor, "image class"]:
        """Compute the evidence of other images."""
        others = torch.full((len(features),), -1)
        return in_parts(self.memory.evidence, features, self.sharpness, others)
