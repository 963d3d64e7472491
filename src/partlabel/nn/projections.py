"""Projections of image features and of text embeddings into one space, where they are compared.

The two maps that LiT learns on top of locked encoders (Zhai et al., "LiT: Zero-Shot Transfer with Locked-image text
Tuning", CVPR 2022, arXiv:2111.07991), here both linear, on an encoder of images and one of texts that are both locked.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

START, HIGHEST = 1 / 0.07, 100.0
"""Inverse temperature at the start, and its maximum, as in CLIP."""


class Projections(nn.Module):
    """Two linear maps into a common space, and the temperature of its cosines.

    Args:
        image_dim: Number of channels of an image feature.
        text_dim: Length of a text embedding.
        dim: Number of dimensions of the common space.
        dropout: Share of the inputs that is dropped in training.
    """

    centre: Float[Tensor, " channel"]
    spread: Float[Tensor, " channel"]

    def __init__(self, image_dim: int, text_dim: int, dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(image_dim))
        self.register_buffer("spread", torch.ones(image_dim))
        self.of_image = nn.Linear(image_dim, dim)
        self.of_text = nn.Linear(text_dim, dim)
        self.log_scale = nn.Parameter(torch.tensor(math.log(START)))
        self.drop = nn.Dropout(dropout)

    @property
    def scale(self) -> Float[Tensor, ""]:
        """Inverse temperature."""
        return self.log_scale.exp().clamp(max=HIGHEST)

    def standardise_as(self, features: Float[Tensor, "image channel"]) -> None:
        """Take mean and standard deviation of image features, by which the features of every image are standardised."""
        self.centre.copy_(features.mean(0))
        self.spread.copy_(features.std(0, unbiased=False).clamp(min=1e-4))

    def image(self, features: Float[Tensor, "image channel"]) -> Float[Tensor, "image dim"]:
        """Compute unit vectors of image features, each the mean of a feature map."""
        return normalize(self.of_image(self.drop((features - self.centre) / self.spread)), dim=1)

    def text(self, vectors: Float[Tensor, "text embedding"]) -> Float[Tensor, "text dim"]:
        """Compute unit vectors of text embeddings."""
        return normalize(self.of_text(self.drop(vectors)), dim=1)

    def dense(self, feature_map: Float[Tensor, "image channel *place"]) -> Float[Tensor, "image dim *place"]:
        """Project every place of a feature map, without normalisation: their mean has the direction of `image`."""
        places = (feature_map.movedim(1, -1) - self.centre) / self.spread
        return self.of_image(places).movedim(-1, 1)
