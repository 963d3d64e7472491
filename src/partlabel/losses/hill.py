"""Hill loss: the cost of an absent label falls again where it looks most present (Zhang et al., arXiv:2112.07368)."""

from jaxtyping import Float
from torch import Tensor

from partlabel.losses.focal_margin import FocalMargin


class Hill(FocalMargin):
    """`-t (1-p_m)^g log p_m + (1-t) (crest - p) p^2`, with `p_m = s(logit - margin)`.

    The cost of an absent label is p^2, weighted by the distance of p from the crest. Its slope vanishes at `2/3 crest`,
    so that with the paper's 1.5 a label that is assumed absent and predicted present has no gradient.

    Args:
        margin: Margin in logits that a present label needs.
        gamma: Focusing exponent of present labels.
        crest: Lambda of the paper.
    """

    def __init__(self, margin: float = 1.0, gamma: float = 2.0, crest: float = 1.5) -> None:
        super().__init__(margin, gamma)
        self.crest = crest

    def absent(self, logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Compute the cost of every label if it is absent."""
        p = logits.sigmoid()
        return (self.crest - p) * p**2
