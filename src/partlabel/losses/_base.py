"""Base class of the losses: a cost per label, averaged by weight."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.distributed import all_reduce_mean
from partlabel.core.targets import Targets


class Loss(nn.Module, ABC):
    """`sum(weight * cost) / sum(weight)`; 0, with a gradient of 0, where all weights are 0."""

    @abstractmethod
    def each(
        self, logits: Float[Tensor, "*shape"], value: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """Compute the cost of every label for a target value."""

    def forward(self, logits: Float[Tensor, "*shape"], targets: Targets) -> Float[Tensor, ""]:
        """Compute the weighted mean over all labels of the batch, over all processes."""
        return self.total(logits, targets) / all_reduce_mean(targets.weight.sum()).clamp(min=1e-8)

    def total(self, logits: Float[Tensor, "*shape"], targets: Targets) -> Float[Tensor, ""]:
        """Compute the weighted sum, for callers that average over more than one batch."""
        return (targets.weight * self.each(logits.float(), targets.value)).sum()
