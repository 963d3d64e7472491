"""A data-efficient head: a regularised linear head with small residual terms for attention and class features.

With a tenth of the labels known, the published head (`ssgrl.py`) has more degrees of freedom than there are labels: it
fits the known cells perfectly and generalises far worse than a linear layer (figures: docs/log.md). This head keeps the
linear layer and adds SST's ingredients as small departures from it: attention is guided by the class's own weights,
with one fixed sharpness instead of a learned matrix; the class's feature is the element-wise product of its weights and
the attended image, so that its sum is the logit and the cosine compares what matters for the class.
"""

from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.nn.classes import Classes
from partlabel.nn.heads._base import ClassMaps, ClassOutput, FeatureMap, Head, Prepared, scored_places
from partlabel.nn.power import signed_power


class Powered(NamedTuple):
    """A feature map after power normalisation.

    Attributes:
        map: The map after the power.
        pooled: Mean of the map over the places.
    """

    map: FeatureMap
    pooled: Float[Tensor, "batch channel"]

    def detach(self) -> "Powered":
        """Detach both from the autograd graph."""
        return Powered(self.map.detach(), self.pooled.detach())


class Residual(Head):
    """`logit_c = sum_d f_cd + b_c`, `f_c = w_c * sum_p a_cp x_p`, `a_c = softmax_p(sharpness * w_c . x_p)`.

    x is the feature map after a signed square root, which dampens bursts (power normalisation, Perronnin et al., ECCV
    2010), standardised per channel by the statistics of its means over the image. w starts at zero, so the attention
    starts uniform; b starts at the prevalence among the known labels.

    Args:
        channels: Number of channels of the feature map.
        classes: Prior knowledge of the classes; biases start at their prevalence.
        sharpness: Sharpness of the attention; 0 averages over all places.
        power: Exponent of the feature map; 1 leaves it unchanged.
    """

    has_class_maps: ClassVar[bool] = True

    def __init__(self, channels: int, classes: Classes, sharpness: float = 0.1, power: float = 0.5) -> None:
        super().__init__(channels, classes)
        self.feature_dim = self.image_dim = channels
        self.sharpness = sharpness
        self.power = power
        self.standardise = nn.BatchNorm1d(channels, affine=False)
        self.weight = nn.Parameter(torch.zeros(len(classes), channels))
        self.bias = nn.Parameter(classes.prior_logits.clone())

    def prepare(self, feature_map: FeatureMap | Prepared) -> Powered:
        """Compute the map after the power, and its mean."""
        if isinstance(feature_map, Powered):
            return feature_map
        assert isinstance(feature_map, Tensor)
        powered = signed_power(feature_map.float(), self.power)
        return Powered(powered, powered.mean((2, 3)))

    def forward(self, feature_map: FeatureMap | Prepared) -> ClassOutput:
        """Compute logits, class features and attention."""
        powered, pooled = self.prepare(feature_map)
        places = powered.flatten(2)
        mean, scale = self._statistics(pooled)
        weight = self.weight * scale
        with torch.autocast("cpu", enabled=False):  # to cast the map costs more than its products save
            # A class's shift by the mean cancels in the softmax.
            score = torch.einsum("cd,bdp->bcp", weight, places)
            attention = (self.sharpness * score.detach()).softmax(-1)
            features = weight * (attention @ places.transpose(1, 2) - mean)
        return ClassOutput(
            self.classify(features),
            features,
            attention.unflatten(2, powered.shape[2:]),
            (pooled - mean) * scale,
        )

    def classify(self, features: Float[Tensor, "batch class channel"]) -> Float[Tensor, "batch class"]:
        """Sum each class's feature to its logit."""
        return features.sum(2) + self.bias

    def class_maps(self, feature_map: FeatureMap) -> ClassMaps:
        """Compute the scores of the places, whose softmax is the attention."""
        return scored_places(self.prepare(feature_map).map, self.weight, self.bias, self.standardise)

    def _statistics(
        self, pooled: Float[Tensor, "batch channel"]
    ) -> tuple[Float[Tensor, " channel"], Float[Tensor, " channel"]]:
        """Read the running mean and inverse standard deviation of every channel."""
        norm = self.standardise
        if self.training and len(pooled) > 1:
            norm(pooled.detach())
        assert norm.running_mean is not None
        assert norm.running_var is not None
        return norm.running_mean.clone(), torch.rsqrt(norm.running_var + norm.eps)
