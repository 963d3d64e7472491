"""Hill: a loss of absent labels that falls again where they look most present (Zhang et al., arXiv:2112.07368)."""

from jaxtyping import Float
from torch import Tensor

from partlabel.losses.focal_margin import FocalMargin


class Hill(FocalMargin):
    """`-t (1-p_m)^g log p_m + (1-t) (crest - p) p^2`, with `p_m = s(logit - margin)`.

    The cost of an absent label is p^2 weighed by how far p is below the crest: its slope vanishes at `2/3 crest`, so
    that with the paper's 1.5 a label taken for absent that is surely present pushes nothing.

    Args:
        margin: How much more logit a present label needs.
        gamma: How much easy present labels are played down.
        crest: The paper's lambda.
    """

    def __init__(self, margin: float = 1.0, gamma: float = 2.0, crest: float = 1.5) -> None:
        super().__init__(margin, gamma)
        self.crest = crest

    def absent(self, logits: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """What a label costs if it is absent."""
        p = logits.sigmoid()
        return (self.crest - p) * p**2
