"""Asymmetric loss (Ridnik et al., ICCV 2021, arXiv:2009.14119), equations 4 to 7."""

from jaxtyping import Float
from torch import Tensor

from partlabel.losses._base import Loss


class Asymmetric(Loss):
    """`-t (1-p)^g+ log p - (1-t) q^g- log(1-q)`, with `q = max(p - margin, 0)`, averaged over labels with weight.

    The focal weights pass gradients, as in the paper and in SST, and the loss is a mean, as in SST (ASL sums).

    Args:
        gamma_present: Focusing exponent g+ of present labels.
        gamma_absent: Focusing exponent g- of absent labels.
        margin: Probability below which an absent label costs nothing.
        constant_focus: Whether focal weights pass no gradient, as in the code of ASL and of DualCoOp.
    """

    def __init__(
        self,
        gamma_present: float = 1.0,
        gamma_absent: float = 4.0,
        margin: float = 0.05,
        constant_focus: bool = False,
    ) -> None:
        super().__init__()
        self.gamma_present = gamma_present
        self.gamma_absent = gamma_absent
        self.margin = margin
        self.constant_focus = constant_focus

    def each(
        self, logits: Float[Tensor, "*shape"], value: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """Compute the focal cross-entropy; absent labels have a margin."""
        p = logits.sigmoid()
        kept = (1 - p + self.margin).clamp(max=1)
        focus_present = _focal((-logits).sigmoid(), self.gamma_present)
        focus_absent = _focal(1 - kept, self.gamma_absent)
        if self.constant_focus:
            focus_present, focus_absent = focus_present.detach(), focus_absent.detach()
        present = focus_present * p.clamp(min=1e-8).log()
        absent = focus_absent * kept.clamp(min=1e-8).log()
        return -(value * present + (1 - value) * absent)


def _focal(easy: Float[Tensor, "*shape"], gamma: float) -> Float[Tensor, "*shape"]:
    """Compute a power of `1 - p`; for exponents below 1, whose slope at 0 is unbounded, the base is clamped above 0."""
    return (easy.clamp(min=1e-8) if 0 < gamma < 1 else easy) ** gamma
