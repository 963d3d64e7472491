"""Partial BCE normalised per image by its share of known labels (Durand et al., CVPR 2019, arXiv:1902.09720, eq. 2)."""

from jaxtyping import Float
from torch import Tensor

from partlabel.core.distributed import all_reduce_mean
from partlabel.core.targets import Targets
from partlabel.losses.partial_bce import PartialBCE


class DurandBCE(PartialBCE):
    """`mean over images of g(q) / C * sum over its labels of weight * BCE`, `g(q) = slope q^gamma + offset`.

    q is the share of known labels of an image. The defaults are the paper's, with g(0.1) = 5 and g(1) = 1; slope 1,
    offset 0 and gamma -1 average over the known labels of each image.

    Args:
        slope: Slope of g.
        offset: Offset of g.
        gamma: Exponent of g.
    """

    def __init__(self, slope: float = -4.45, offset: float = 5.45, gamma: float = 1.0) -> None:
        super().__init__()
        self.slope = slope
        self.offset = offset
        self.gamma = gamma

    def forward(self, logits: Float[Tensor, "batch class"], targets: Targets) -> Float[Tensor, ""]:
        """Compute the mean over images; an image without known labels counts as 0."""
        known = targets.weight.mean(1, keepdim=True)
        g = self.slope * known.clamp(min=1e-8) ** self.gamma + self.offset
        total = self.total(logits, Targets(targets.value, targets.weight * g))
        return total / all_reduce_mean(total.new_full((), float(logits.numel())))
