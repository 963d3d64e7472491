"""Source `class_prototypes`: nearness to the mean image that shows a class (as in HST, IJCV 2024, and SARB, AAAI 2022).

Those methods keep prototypes of class features, which linear heads do not have; here they are means of image features,
one of the images that show the class and one of those that lack it. `similar_images` compares with each image instead
of their mean and knows more, so that this source is not among the default ones (docs/log.md).
"""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from partlabel.core.labels import ABSENT, PRESENT
from partlabel.core.targets import Labels
from partlabel.transfer.sources._base import EvidenceSource, Observed

PRIOR = 1.0
"""Mean images of the whole collection that are added to those of each prototype."""


class ClassPrototypes(EvidenceSource):
    """Cosine with the mean of the images that show a class, less that with the mean of those that lack it.

    Args:
        classes: Number of classes.
        image_dim: Length of an image feature.
    """

    needs: ClassVar[tuple[str, ...]] = ("image",)
    direction: Float[Tensor, "class feature"]

    def __init__(self, classes: int, image_dim: int) -> None:
        super().__init__()
        self.register_buffer("direction", torch.zeros(classes, image_dim))

    def fit(self, given: Observed) -> Float[Tensor, "image class"]:
        """Average the images; those of a fold are compared with the means of the others."""
        assert given.image is not None
        unit = normalize(given.image)
        scores = torch.zeros(given.labels.shape)
        for number in given.fold.unique():
            inside = given.fold == number
            scores[inside] = unit[inside] @ _direction(unit, given.labels, ~inside).T
        self.direction.copy_(_direction(unit, given.labels, torch.ones_like(given.fold, dtype=torch.bool)))
        return scores

    def forward(self, given: Observed) -> Float[Tensor, "image class"]:
        """Compare images with both means."""
        assert given.image is not None
        return normalize(given.image) @ self.direction.T


def _direction(
    unit: Float[Tensor, "image feature"], labels: Labels, rows: Bool[Tensor, " image"]
) -> Float[Tensor, "class feature"]:
    """Compute the mean of the images that show each class, less the mean of those that lack it."""
    showing, lacking = (_mean(unit[rows], labels[rows] == code) for code in (PRESENT, ABSENT))
    return showing - lacking


def _mean(
    unit: Float[Tensor, "image feature"], member: Bool[Tensor, "image class"]
) -> Float[Tensor, "class feature"]:
    counted = member.float()
    return (counted.T @ unit + PRIOR * unit.mean(0)) / (counted.sum(0)[:, None] + PRIOR)
