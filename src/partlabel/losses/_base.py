"""What a loss is: what each label costs, summed by weight, over how many labels there are."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.distributed import all_reduce_mean
from partlabel.core.targets import Targets


class Loss(nn.Module, ABC):
    """`sum(weight * cost) / sum(weight)`; 0, with a gradient of 0, where nothing is said."""

    @abstractmethod
    def each(
        self, logits: Float[Tensor, "*shape"], value: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """What every label costs if its target is this value."""

    def forward(self, logits: Float[Tensor, "*shape"], targets: Targets) -> Float[Tensor, ""]:
        """The weighted mean over all labels."""
        return self.total(logits, targets) / all_reduce_mean(targets.weight.sum()).clamp(min=1e-8)

    def total(self, logits: Float[Tensor, "*shape"], targets: Targets) -> Float[Tensor, ""]:
        """The weighted sum, for who takes the mean over more than is given at once."""
        return (targets.weight * self.each(logits.float(), targets.value)).sum()
