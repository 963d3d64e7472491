"""Source `similar_texts`: images whose texts resemble the text of the image, compared as in `similar_images`."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from partlabel.core.labels import UNKNOWN
from partlabel.transfer.sources._base import EvidenceSource, Observed
from partlabel.transfer.sources._neighbours import Neighbours

SHARPNESS = 15.0
"""Sharpness of the kernel that compares text embeddings; smaller than for images, whose cosines are larger."""


class SimilarTexts(EvidenceSource):
    """Log-likelihood ratio of texts of images that show a class against texts of images that lack it.

    Args:
        classes: Number of classes.
        text_dim: Length of a text embedding.
    """

    needs: ClassVar[tuple[str, ...]] = ("text",)

    def __init__(self, classes: int, text_dim: int) -> None:
        super().__init__()
        self.neighbours = Neighbours(classes, text_dim, SHARPNESS)

    def fit(self, given: Observed) -> Float[Tensor, "image class"]:
        """Store the texts of all images with known labels; no image is evidence for itself."""
        text = given.text
        assert text is not None
        known = torch.where(text.available[:, None], given.labels, UNKNOWN)
        return self.neighbours.fit(text.vectors, known)

    def forward(self, given: Observed) -> Float[Tensor, "image class"]:
        """Compare texts with the stored ones."""
        assert given.text is not None
        return self.neighbours(given.text.vectors)
