"""Source `second_similar_images`: images that resemble the image to another backbone, as in `similar_images`."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from partlabel.transfer.sources._base import EvidenceSource, Observed
from partlabel.transfer.sources._neighbours import Neighbours
from partlabel.transfer.sources.similar_images import SHARPNESS


class SecondSimilarImages(EvidenceSource):
    """Log-likelihood ratio of images that show a class against images that lack it, to a second backbone.

    Args:
        classes: Number of classes.
        second_dim: Length of a feature of that backbone.
    """

    needs: ClassVar[tuple[str, ...]] = ("second",)

    def __init__(self, classes: int, second_dim: int) -> None:
        super().__init__()
        self.neighbours = Neighbours(classes, second_dim, SHARPNESS)

    def fit(self, given: Observed) -> Float[Tensor, "image class"]:
        """Store all images; no image is evidence for itself."""
        assert given.second is not None
        return self.neighbours.fit(given.second, given.labels)

    def forward(self, given: Observed) -> Float[Tensor, "image class"]:
        """Compare images with the stored ones."""
        assert given.second is not None
        return self.neighbours(given.second)
