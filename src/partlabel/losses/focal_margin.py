"""Focal margin: the loss that SPLC corrects labels under (Zhang et al., 2021, arXiv:2112.07368)."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from partlabel.losses._base import Loss


class FocalMargin(Loss):
    """`-t (1-p_m)^g log p_m - (1-t) p^g log(1-p)`, with `p_m = s(logit - margin)`.

    The margin makes present labels that are half learned count most, where a focal weight alone prefers the hardest,
    which may be wrong.

    Args:
        margin: How much more logit a present label needs.
        gamma: How much easy labels are played down.
    """

    def __init__(self, margin: float = 1.0, gamma: float = 2.0) -> None:
        super().__init__()
        self.margin = margin
        self.gamma = gamma

    def each(
        self, logits: Float[Tensor, "*shape"], value: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """Of present and of absent labels, mixed by the value."""
        return value * self.present(logits) + (1 - value) * self.absent(logits)

    def present(self, logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """What a label costs if it is present."""
        shifted = logits - self.margin
        return -((-shifted).sigmoid() ** self.gamma) * logsigmoid(shifted)

    def absent(self, logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """What a label costs if it is absent."""
        return -(logits.sigmoid() ** self.gamma) * logsigmoid(-logits)
