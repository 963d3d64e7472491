"""BoostLU: positive scores of a place are multiplied by a constant factor.

Kim et al., "Bridging the Gap Between Model Explanations in Partially Annotated Multi-label Classification", CVPR 2023,
arXiv:2304.01804: training on assumed absences lowers the scores of a class's map but keeps their order, and the boost
compensates for it, in training and inference. It is a head because it works with any loss; the paper's are LL-R, LL-Ct
and LL-Cp.
"""

import torch

from partlabel.nn.classes import Classes
from partlabel.nn.heads._base import ClassMaps, ClassOutput, FeatureMap, Prepared
from partlabel.nn.heads.residual import Residual


class BoostLU(Residual):
    """`logit_c = mean_p boost(w_c . x_p + b_c)`, `boost(s) = factor s` where s > 0, else s.

    x is the feature map, standardised per channel as in `average` and `residual`; the paper does not standardise.

    Args:
        channels: Number of channels of the feature map.
        classes: Prior knowledge of the classes; logits start at their prevalence.
        factor: Alpha of the paper; 1 gives a linear head on the mean.
    """

    def __init__(self, channels: int, classes: Classes, factor: float = 5.0) -> None:
        super().__init__(channels, classes, power=1.0)
        self.feature_dim = 0
        self.factor = factor
        self.bias.data.copy_(torch.where(self.bias > 0, self.bias / factor, self.bias))

    def forward(self, feature_map: FeatureMap | Prepared) -> ClassOutput:
        """Compute logits, and the standardised mean as the image's feature."""
        plain, pooled = self.prepare(feature_map)
        mean, scale = self._statistics(pooled)
        return ClassOutput(self.class_maps(plain).mean((2, 3)), image=(pooled - mean) * scale)

    def class_maps(self, feature_map: FeatureMap) -> ClassMaps:
        """Compute the boosted scores of the places, whose mean is the logit."""
        score = super().class_maps(feature_map)
        return torch.where(score > 0, self.factor * score, score)
