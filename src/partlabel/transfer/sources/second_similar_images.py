"""Source `second_similar_images`: images that resemble the image to another backbone, as in `similar_images`."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from partlabel.transfer.sources._base import Observed
from partlabel.transfer.sources.similar_images import SimilarImages


class SecondSimilarImages(SimilarImages):
    """Log-likelihood ratio of images that show a class against images that lack it, to a second backbone.

    Args:
        classes: Number of classes.
        second_dim: Length of a feature of that backbone.
    """

    needs: ClassVar[tuple[str, ...]] = ("second",)

    def __init__(self, classes: int, second_dim: int) -> None:
        super().__init__(classes, second_dim)

    def feature(self, given: Observed) -> Float[Tensor, "image feature"]:
        """Return the features of the second backbone."""
        assert given.second is not None
        return given.second
