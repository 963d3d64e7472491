"""Partial BCE: binary cross-entropy averaged over the labels with weight in the batch.

Normalising by the number of known labels in the batch (not per class, not per image) is the BN-BCE of SR (Wang et al.,
ICCV 2023), which is 9 mAP better on COCO at 10 % known than normalising per class; it is also the classification loss
of SST (AAAI 2022).
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from partlabel.core.targets import Targets
from partlabel.losses._base import Loss


class PartialBCE(Loss):
    """`sum(weight * BCE(logit, value)) / sum(weight)`; 0, with a gradient of 0, where all weights are 0."""

    def each(
        self, logits: Float[Tensor, "*shape"], value: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """Compute the cross-entropy of every label."""
        return binary_cross_entropy_with_logits(logits, value, reduction="none")

    def total(self, logits: Float[Tensor, "*shape"], targets: Targets) -> Float[Tensor, ""]:
        """Compute the weighted sum in one pass."""
        return binary_cross_entropy_with_logits(
            logits.float(), targets.value, targets.weight, reduction="sum"
        )
