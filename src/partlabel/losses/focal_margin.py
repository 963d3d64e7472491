"""Focal margin loss, under which SPLC corrects labels (Zhang et al., 2021, arXiv:2112.07368)."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from partlabel.losses._base import Loss


class FocalMargin(Loss):
    """`-t (1-p_m)^g log p_m - (1-t) p^g log(1-p)`, with `p_m = s(logit - margin)`.

    The margin gives the largest weight to present labels that are half learned; a focal weight alone prefers the
    hardest ones, whose labels may be wrong.

    Args:
        margin: Margin in logits that a present label needs.
        gamma: Focusing exponent.
    """

    def __init__(self, margin: float = 1.0, gamma: float = 2.0) -> None:
        super().__init__()
        self.margin = margin
        self.gamma = gamma

    def each(
        self, logits: Float[Tensor, "*shape"], value: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """Mix the costs of present and of absent by the target value."""
        return value * self.present(logits) + (1 - value) * self.absent(logits)

    def present(self, logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Compute the cost of every label if it is present."""
        shifted = logits - self.margin
        return -((-shifted).sigmoid() ** self.gamma) * logsigmoid(shifted)

    def absent(self, logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Compute the cost of every label if it is absent."""
        return -(logits.sigmoid() ** self.gamma) * logsigmoid(-logits)
