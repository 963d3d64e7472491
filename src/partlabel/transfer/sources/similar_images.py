"""Source `similar_images`: images that resemble the image (SST's transfer across images, Chen et al., AAAI 2022).

A kernel density over image features in place of a mean cosine of class features: it needs no class features, and says
how much more the image resembles those that show a class than those that lack it.
"""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from partlabel.transfer.sources._base import EvidenceSource, Observed
from partlabel.transfer.sources._neighbours import Neighbours

SHARPNESS = 50.0
"""Sharpness of the kernel that compares image features."""


class SimilarImages(EvidenceSource):
    """Log-likelihood ratio of images that show a class against images that lack it.

    Args:
        classes: Number of classes.
        image_dim: Length of an image feature.
    """

    needs: ClassVar[tuple[str, ...]] = ("image",)

    def __init__(self, classes: int, image_dim: int) -> None:
        super().__init__()
        self.neighbours = Neighbours(classes, image_dim, SHARPNESS)

    def feature(self, given: Observed) -> Float[Tensor, "image feature"]:
        """Return the features that are compared."""
        assert given.image is not None
        return given.image

    def fit(self, given: Observed) -> Float[Tensor, "image class"]:
        """Store all images; no image is evidence for itself."""
        return self.neighbours.fit(self.feature(given), given.labels)

    def forward(self, given: Observed) -> Float[Tensor, "image class"]:
        """Compare images with the stored ones."""
        return self.neighbours(self.feature(given))
