"""Partial BCE normalised per image, by how much of it is known (Durand et al., CVPR 2019, arXiv:1902.09720, eq. 2)."""

from jaxtyping import Float
from torch import Tensor

from partlabel.core.distributed import all_reduce_mean
from partlabel.core.targets import Targets
from partlabel.losses.partial_bce import PartialBCE


class DurandBCE(PartialBCE):
    """`mean over images of g(q) / C * sum over its labels of weight * BCE`, `g(q) = slope q^gamma + offset`.

    q is the share of an image's labels that is known. The defaults are the paper's, with g(0.1) = 5 and g(1) = 1;
    slope 1, offset 0 and gamma -1 give every image the mean over its known labels.

    Args:
        slope: Of g.
        offset: Of g.
        gamma: Exponent of g.
    """

    def __init__(self, slope: float = -4.45, offset: float = 5.45, gamma: float = 1.0) -> None:
        super().__init__()
        self.slope = slope
        self.offset = offset
        self.gamma = gamma

    def forward(self, logits: Float[Tensor, "batch class"], targets: Targets) -> Float[Tensor, ""]:
        """The mean over images; one of which nothing is known counts as 0."""
        known = targets.weight.mean(1, keepdim=True)
        g = self.slope * known.clamp(min=1e-8) ** self.gamma + self.offset
        total = self.total(logits, Targets(targets.value, targets.weight * g))
        return total / all_reduce_mean(total.new_tensor(float(logits.numel())))
