"""A data-efficient head: begins as a regularised linear head, and adds only what few known labels can pay for.

With a tenth of the labels known, the published trunk (`ssgrl.py`) has more freedom than labels: it fits the known cells
perfectly and generalises far worse than a linear layer (docs/log.md has the figures). This head keeps that layer and
turns SST's ingredients into small departures from it: attention is guided by the class's own weights, with one fixed
sharpness and not a matrix to learn; the class's feature is what its weights see of the attended image, so that their
sum is the logit and cosine compares what matters for the class.
"""

from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.nn.classes import Classes
from partlabel.nn.heads._base import ClassMaps, ClassOutput, FeatureMap, Head, Prepared, scored_places
from partlabel.nn.power import signed_power


class Powered(NamedTuple):
    """A feature map as the head compares it.

    Attributes:
        map: After the power.
        pooled: Its mean over the places.
    """

    map: FeatureMap
    pooled: Float[Tensor, "batch channel"]

    def detach(self) -> "Powered":
        """Without its past."""
        return Powered(self.map.detach(), self.pooled.detach())


class Residual(Head):
    """`logit_c = sum_d f_cd + b_c`, `f_c = w_c * sum_p a_cp x_p`, `a_c = softmax_p(sharpness * w_c . x_p)`.

    x is the feature map after a signed square root, which tames bursts (power normalisation, Perronnin et al., ECCV
    2010), standardised per channel by the statistics of its means over the image. w starts at zero, so the attention
    starts uniform; b starts at the share of the known labels that are present.

    Args:
        channels: Of the feature map.
        classes: Their prevalence is where the biases start.
        sharpness: Of the attention; 0 averages over all places.
        power: Exponent of the feature map; 1 leaves it as it is.
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
        """The map after its power, and its mean."""
        if isinstance(feature_map, Powered):
            return feature_map
        assert isinstance(feature_map, Tensor)
        powered = signed_power(feature_map.float(), self.power)
        return Powered(powered, powered.mean((2, 3)))

    def forward(self, feature_map: FeatureMap | Prepared) -> ClassOutput:
        """Logits, the classes' features and attention."""
        powered, pooled = self.prepare(feature_map)
        places = powered.flatten(2)
        mean, scale = self._statistics(pooled)
        weight = self.weight * scale
        score = torch.einsum(
            "cd,bdp->bcp", weight, places
        )  # a class's shift by the mean cancels in the softmax
        attention = (self.sharpness * score.detach()).softmax(-1)
        features = weight * (attention @ places.transpose(1, 2) - mean)
        return ClassOutput(
            self.classify(features),
            features,
            attention.unflatten(2, powered.shape[2:]),
            (pooled - mean) * scale,
        )

    def classify(self, features: Float[Tensor, "batch class channel"]) -> Float[Tensor, "batch class"]:
        """A class's feature is what its logit is the sum of."""
        return features.sum(2) + self.bias

    def class_maps(self, feature_map: FeatureMap) -> ClassMaps:
        """The scores of the places, which the attention is the softmax of."""
        return scored_places(self.prepare(feature_map).map, self.weight, self.bias, self.standardise)

    def _statistics(
        self, pooled: Float[Tensor, "batch channel"]
    ) -> tuple[Float[Tensor, " channel"], Float[Tensor, " channel"]]:
        """Mean and inverse deviation of every channel, as followed over the batches seen in training."""
        norm = self.standardise
        if self.training and len(pooled) > 1:
            norm(pooled.detach())
        assert norm.running_mean is not None
        assert norm.running_var is not None
        return norm.running_mean.clone(), torch.rsqrt(norm.running_var + norm.eps)
