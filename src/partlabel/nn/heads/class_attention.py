"""Class attention (CSRA): the mean score of a class over the places, plus its attention-weighted mean.

Zhu and Wu, "Residual Attention: A Simple but Effective Method for Multi-Label Recognition", ICCV 2021,
arXiv:2108.02456, with one attention head.
"""

import torch

from partlabel.nn.classes import Classes
from partlabel.nn.heads._base import ClassOutput, FeatureMap, Prepared
from partlabel.nn.heads.residual import Residual


class ClassAttention(Residual):
    """`logit_c = mean_p s_cp + share sum_p a_cp s_cp + b_c`, `s_cp = w_c . x_p`, `a_c = softmax_p(sharpness s_c)`.

    x is the feature map, standardised per channel as in `average` and `residual`; the paper does not standardise. The
    attention passes gradients, as in the paper; in `residual` it does not.

    Args:
        channels: Number of channels of the feature map.
        classes: Prior knowledge of the classes; biases start at their prevalence.
        share: Lambda of the paper.
        sharpness: T of the paper; for large values the attended score is the maximum.
    """

    def __init__(self, channels: int, classes: Classes, share: float = 0.1, sharpness: float = 1.0) -> None:
        super().__init__(channels, classes, sharpness, power=1.0)
        self.share = share

    def forward(self, feature_map: FeatureMap | Prepared) -> ClassOutput:
        """Compute logits, class features, whose sum is the logit minus its bias, and attention."""
        plain, pooled = self.prepare(feature_map)
        places = plain.flatten(2)
        mean, scale = self._statistics(pooled)
        image = (pooled - mean) * scale
        x = (places - mean[:, None]) * scale[:, None]
        attention = (self.sharpness * torch.einsum("cd,bdp->bcp", self.weight, x)).softmax(-1)
        features = self.weight * (image[:, None] + self.share * attention @ x.transpose(1, 2))
        return ClassOutput(
            features.sum(2) + self.bias, features, attention.unflatten(2, plain.shape[2:]), image
        )
