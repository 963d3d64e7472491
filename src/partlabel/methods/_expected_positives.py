"""Expected number of present classes per image and the penalty of deviating from it (Cole et al., CVPR 2021).

EPR regularises the predictions of a recogniser by it, ROLE those of its label table, too.
"""

import warnings

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels

MANY = 100
"""Number of known labels from which on a lack of absent ones is significant."""


class ExpectedPositives(nn.Module):
    """`((mean_b sum_c p_bc) - k)^2 / C^2`: deviation of the number of predicted classes per image from its expectation.

    Args:
        num_classes: C.
        positives: k; None estimates it from the known labels seen so far.
    """

    present: Int64[Tensor, " class"]
    known: Int64[Tensor, " class"]

    def __init__(self, num_classes: int, positives: float | None = None) -> None:
        super().__init__()
        self.positives = positives
        self.register_buffer("present", torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("known", torch.zeros(num_classes, dtype=torch.int64))

    def see(self, labels: Labels) -> None:
        """Count the known labels of a batch."""
        self.present += distributed.all_reduce_sum((labels == PRESENT).sum(0))
        self.known += distributed.all_reduce_sum((labels != UNKNOWN).sum(0))

    def number(self) -> Float[Tensor, ""]:
        """Return k; NaN where no label is known yet.

        It is the sum over classes of the share of known labels that are present. Each class is smoothed by one extra
        label, present with the share over all classes.
        """
        if self.positives is not None:
            return self.present.new_full((), self.positives, dtype=torch.float32)
        overall = self.present.sum() / self.known.sum()
        return ((self.present + overall) / (self.known + 1)).sum()

    def warn_if_none_is_absent(self) -> None:
        """Warn where k is estimated from present labels alone; the device is awaited."""
        known = int(self.known.sum())
        if self.positives is None and known >= MANY and self.present.equal(self.known):
            warnings.warn(
                f"none of {known} known labels is absent, so the estimate is that every image shows all "
                f"{len(self.known)} classes: give the number of classes per image as positives (--method.positives)",
                stacklevel=2,
            )

    def excess(self, p: Float[Tensor, "batch class"]) -> Float[Tensor, ""]:
        """Compute the number of predicted classes per image minus k, over all processes; 0 where k is unknown."""
        images = distributed.all_reduce_sum(p.new_full((), float(len(p))))
        number = self.number()
        return torch.where(number.isnan(), 0.0, distributed.all_reduce_sum(p.sum()) / images - number)

    def forward(self, p: Float[Tensor, "batch class"]) -> Float[Tensor, ""]:
        """Compute the penalty of some probabilities."""
        return (self.excess(p) / p.shape[1]).square()
