"""The plain head: average pooling, standardised, and one linear layer. The baseline that every method has to beat."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.nn.classes import Classes
from partlabel.nn.heads._base import ClassMaps, ClassOutput, FeatureMap, Head, scored_places


class Average(Head):
    """`logits = W standardise(mean over places) + b`.

    Standardising (batch normalisation without gain) makes one weight decay fit every channel. W starts at zero and b at
    the share of the known labels that are present, so the solution is that of the regularised regression alone.

    Args:
        channels: Of the feature map.
        classes: Their prevalence is where the biases start.
    """

    has_class_maps: ClassVar[bool] = True

    def __init__(self, channels: int, classes: Classes) -> None:
        super().__init__(channels, classes)
        self.image_dim = channels
        self.standardise = nn.BatchNorm1d(channels, affine=False)
        self.linear = nn.Linear(channels, len(classes))
        nn.init.zeros_(self.linear.weight)
        self.linear.bias.data.copy_(classes.prior_logits)

    @property
    def last_linear(self) -> nn.Linear:
        """Of the pooled feature."""
        return self.linear

    def forward(self, feature_map: FeatureMap) -> ClassOutput:
        """Logits, and the standardised mean as the image's feature."""
        pooled = self.pooled(feature_map)
        if self.training and len(pooled) > 1:
            image = self.standardise(pooled)
        else:  # one image has no spread to standardise by: use what is known so far
            norm = self.standardise
            assert norm.running_mean is not None and norm.running_var is not None
            image = (pooled - norm.running_mean) * torch.rsqrt(norm.running_var + norm.eps)
        return ClassOutput(self.linear(image), image=image)

    def pooled(self, feature_map: FeatureMap) -> Float[Tensor, "batch channel"]:
        """The mean over the places."""
        return feature_map.float().mean((2, 3))

    def class_maps(self, feature_map: FeatureMap) -> ClassMaps:
        """The scores of the places, whose mean is the logit; in training but for the moments, which are the batch's."""
        return scored_places(feature_map.float(), self.linear.weight, self.linear.bias, self.standardise)
