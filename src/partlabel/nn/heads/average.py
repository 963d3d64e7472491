"""Linear head on average pooling, the baseline that every method has to beat."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.nn.classes import Classes
from partlabel.nn.heads._base import ClassMaps, ClassOutput, FeatureMap, Head, scored_places


class Average(Head):
    """`logits = W standardise(mean over places) + b`.

    Standardisation (batch normalisation without gain) makes one weight decay fit every channel. W starts at zero and b
    at the prevalence among the known labels, so that the solution is that of the regularised regression alone.

    Args:
        channels: Number of channels of the feature map.
        classes: Prior knowledge of the classes; biases start at their prevalence.
    """

    has_class_maps: ClassVar[bool] = True
    is_linear: ClassVar[bool] = True
    wants_class_token: ClassVar[bool] = True

    def __init__(self, channels: int, classes: Classes) -> None:
        super().__init__(channels, classes)
        self.image_dim = channels
        self.standardise = nn.BatchNorm1d(channels, affine=False)
        self.linear = nn.Linear(channels, len(classes))
        nn.init.zeros_(self.linear.weight)
        self.linear.bias.data.copy_(classes.prior_logits)

    @classmethod
    def needs_only_mean(cls) -> bool:
        """Return whether the head averages: not if it reduces the map otherwise, or needs covariances."""
        return cls.reduced is Average.reduced and not cls.covariance_rank

    @property
    def last_linear(self) -> nn.Linear:
        """The linear layer on the pooled feature."""
        return self.linear

    def forward(self, feature_map: FeatureMap) -> ClassOutput:
        """Compute logits, and the standardised mean as the image's feature."""
        pooled = self.pooled(feature_map)
        if self.training and len(pooled) > 1:
            image = self.standardise(pooled)
        else:  # one image has no variance to standardise by: use the running statistics
            norm = self.standardise
            assert norm.running_mean is not None and norm.running_var is not None
            image = (pooled - norm.running_mean) * torch.rsqrt(norm.running_var + norm.eps)
        return ClassOutput(self.linear(image), image=image)

    def pooled(self, feature_map: FeatureMap) -> Float[Tensor, "batch channel"]:
        """Average over the places."""
        return self.reduced(feature_map)

    def reduced(self, feature_map: FeatureMap) -> Float[Tensor, "batch channel"]:
        """Reduce a feature map to the part that `pooled` needs: a map of one place, with the same logits."""
        return feature_map.float().mean((2, 3))

    @torch.no_grad()
    def set_linear(
        self,
        mean: Float[Tensor, " channel"],
        variance: Float[Tensor, " channel"],
        weight: Float[Tensor, "class channel"],
        bias: Float[Tensor, " class"],
    ) -> None:
        """Set the moments that features are standardised by, and the linear layer on standardised features."""
        norm = self.standardise
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        self.linear.weight.copy_(weight)
        self.linear.bias.copy_(bias)

    def class_maps(self, feature_map: FeatureMap) -> ClassMaps:
        """Compute the scores of the places, whose mean is the logit; in training with the moments of the batch."""
        return scored_places(feature_map.float(), self.linear.weight, self.linear.bias, self.standardise)
