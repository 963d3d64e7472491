"""Source `zero_shot`: the resemblance of the image to the name of each class; needs no label at all.

An image encoder and a text encoder that were aligned on pairs of photos and texts (`training/towers/`) compare an image
with sentences about a class. The scores are standardised by class, because some names are close to every image.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from partlabel.transfer.combination import shares_by_name
from partlabel.transfer.sources._base import EvidenceSource, Observed


class ZeroShot(EvidenceSource):
    """Similarity of the image to sentences about each class, standardised by class.

    Args:
        classes: Number of classes.
    """

    needs: ClassVar[tuple[str, ...]] = ("zero_shot",)
    centre: Float[Tensor, " class"]
    spread: Float[Tensor, " class"]

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(classes))
        self.register_buffer("spread", torch.ones(classes))

    def fit(self, given: Observed) -> Float[Tensor, "image class"]:
        """Find mean and standard deviation of each class."""
        assert given.zero_shot is not None
        self.centre.copy_(given.zero_shot.mean(0))
        self.spread.copy_(given.zero_shot.std(0, unbiased=False).clamp(min=1e-6))
        return self(given)

    def forward(self, given: Observed) -> Float[Tensor, "image class"]:
        """Standardise the similarities."""
        assert given.zero_shot is not None
        return (given.zero_shot - self.centre) / self.spread

    def prior(self, given: Observed) -> Float[Tensor, " class"]:
        """Compute the log-odds of each class, as if the softmax over the classes were its share of the images."""
        assert given.zero_shot is not None
        return shares_by_name(given.zero_shot)
