"""The asymmetric loss (Ridnik et al., ICCV 2021, arXiv:2009.14119), equations 4 to 7."""

from jaxtyping import Float
from torch import Tensor

from partlabel.losses._base import Loss


class Asymmetric(Loss):
    """`-t (1-p)^g+ log p - (1-t) q^g- log(1-q)`, with `q = max(p - margin, 0)`, averaged over what is said.

    The focal weights pass gradients, as in the paper (the authors of ASL detach them in code; SST does not), and the
    mean is taken as SST does (ASL sums).

    Args:
        gamma_present: g+, how much easy present labels are played down.
        gamma_absent: g-, the same for absent ones.
        margin: Probability below which an absent label no longer counts.
    """

    def __init__(self, gamma_present: float = 1.0, gamma_absent: float = 4.0, margin: float = 0.05) -> None:
        super().__init__()
        self.gamma_present = gamma_present
        self.gamma_absent = gamma_absent
        self.margin = margin

    def each(
        self, logits: Float[Tensor, "*shape"], value: Float[Tensor, "*shape"]
    ) -> Float[Tensor, "*shape"]:
        """Focal cross-entropy, that of absent labels with a margin."""
        p = logits.sigmoid()
        kept = (1 - p + self.margin).clamp(max=1)
        present = _focal((-logits).sigmoid(), self.gamma_present) * p.clamp(min=1e-8).log()
        absent = _focal(1 - kept, self.gamma_absent) * kept.clamp(min=1e-8).log()
        return -(value * present + (1 - value) * absent)


def _focal(easy: Float[Tensor, "*shape"], gamma: float) -> Float[Tensor, "*shape"]:
    """A power of what is left to learn; of an exponent below 1 the slope at 0 has no bound, so it ends short of it."""
    return (easy.clamp(min=1e-8) if 0 < gamma < 1 else easy) ** gamma
