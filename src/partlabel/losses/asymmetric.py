"""The asymmetric loss (Ridnik et al., ICCV 2021, arXiv:2009.14119), equations 4 to 7."""

from jaxtyping import Float
from torch import Tensor, nn

from partlabel.labels import Targets
from partlabel.ranks import average


class Asymmetric(nn.Module):
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

    def forward(self, logits: Float[Tensor, "*shape"], targets: Targets) -> Float[Tensor, ""]:
        """The weighted mean over all labels."""
        return self.total(logits, targets) / average(targets.weight.sum()).clamp(min=1e-8)

    def total(self, logits: Float[Tensor, "*shape"], targets: Targets) -> Float[Tensor, ""]:
        """The weighted sum, for who takes the mean over more than is given at once."""
        p = logits.float().sigmoid()
        kept = (1 - p + self.margin).clamp(max=1)
        present = (1 - p) ** self.gamma_present * p.clamp(min=1e-8).log()
        absent = (1 - kept) ** self.gamma_absent * kept.clamp(min=1e-8).log()
        return -(targets.weight * (targets.value * present + (1 - targets.value) * absent)).sum()
