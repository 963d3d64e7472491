"""The plain head: average pooling, standardised, and one linear layer. The baseline that every method has to beat."""

import torch
from torch import nn

from partlabel.nn.classes import Classes
from partlabel.nn.heads._base import ClassOutput, FeatureMap, Head


class Average(Head):
    """`logits = W standardise(mean over places) + b`, from zero.

    Standardising (batch normalisation without gain) makes one weight decay fit every channel. Starting from zero
    makes the solution that of the regularised regression alone.

    Args:
        channels: Of the feature map.
        classes: What is told apart.
    """

    def __init__(self, channels: int, classes: Classes) -> None:
        super().__init__(channels, classes)
        self.standardise = nn.BatchNorm1d(channels, affine=False)
        self.linear = nn.Linear(channels, len(classes))
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, feature_map: FeatureMap) -> ClassOutput:
        """Logits alone."""
        pooled = feature_map.mean((2, 3))
        if (
            self.training and len(pooled) == 1
        ):  # one image has no spread to standardise by: use what is known so far
            norm = self.standardise
            pooled = (pooled - norm.running_mean) * torch.rsqrt(norm.running_var + norm.eps)
            return ClassOutput(self.linear(pooled))
        return ClassOutput(self.linear(self.standardise(pooled)))
