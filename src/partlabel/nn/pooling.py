"""Covariance pooling: products of principal components of the feature map, besides its mean.

Second-order pooling after Lin, RoyChowdhury and Maji, "Bilinear CNN Models", ICCV 2015, made small by principal
components of the places (a random projection of the same size has no effect: docs/log.md). It needs no labels, and its
output is a vector, 25 times smaller than lite0's map and therefore cheap to cache.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.nn.power import root

FeatureMap = Float[Tensor, "batch channel height width"]


class CovariancePooling(nn.Module):
    """`[mean_p x_p ; upper triangle of mean_p q_p q_p^T]`, `q_p = basis^T (root(x'_p) - mean)`.

    x' are the channels of x that differ between places: all but those of a class token.

    `mean` and `basis` (whitened principal components) come from `fit`; before that the second part is zero.

    Args:
        channels: Number of channels of the feature map.
        rank: Number of components.
        token_channels: Number of the last channels that hold a class token; 0 if there is none.

    Attributes:
        mean_channels: Length of the first part of the output, the mean: `channels`.
        out_channels: Length of the output: `channels + rank (rank + 1) / 2`.
    """

    mean: Float[Tensor, " channel"]
    basis: Float[Tensor, "channel rank"]

    def __init__(self, channels: int, rank: int = 48, token_channels: int = 0) -> None:
        super().__init__()
        self.mean_channels = channels
        places = channels - token_channels
        self.rank = min(rank, places)
        self.out_channels = channels + self.rank * (self.rank + 1) // 2
        self.register_buffer("mean", torch.zeros(places))
        self.register_buffer("basis", torch.zeros(places, self.rank))

    @property
    def fitted(self) -> bool:
        """Whether `fit` has found components, or they were loaded."""
        return bool(self.basis.any())

    def forward(self, feature_map: FeatureMap) -> Float[Tensor, "batch pooled 1 1"]:
        """Pool to a map of one place."""
        places = feature_map.flatten(2).transpose(1, 2)
        components = (root(places[..., : len(self.mean)]) - self.mean) @ self.basis
        together = components.transpose(1, 2) @ components / places.shape[1]
        row, column = torch.triu_indices(self.rank, self.rank, device=together.device)
        return torch.cat([places.mean(1), together[:, row, column]], 1)[..., None, None]

    @torch.no_grad()
    def fit(self, feature_maps: Iterable[FeatureMap]) -> None:
        """Compute the principal components of the places of some maps; a few hundred images are enough."""
        count, channels = 0, len(self.mean)
        total = torch.zeros(channels, dtype=torch.float64)
        products = torch.zeros(channels, channels, dtype=torch.float64)
        for maps in feature_maps:
            places = root(maps[:, :channels].float()).flatten(2).transpose(1, 2).flatten(0, 1).cpu()
            count += len(places)
            total += places.sum(0)
            products += places.T @ places  # in single precision within a batch
        mean = total / max(count, 1)
        variance, vectors = torch.linalg.eigh(products / max(count, 1) - torch.outer(mean, mean))
        variance, vectors = variance.flip(0)[: self.rank], vectors.flip(1)[:, : self.rank]
        largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
        self.mean.copy_(mean)
        self.basis.copy_(vectors * largest.sign() * variance.clamp(min=1e-6).rsqrt())
