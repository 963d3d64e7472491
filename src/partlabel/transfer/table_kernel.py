"""Kernel between all images of a table, computed once for all parts of the table that a method is fitted to.

Cross-validation fits a method to many parts of one table, at several weight decays. The images resemble each other as
they did before; only their labels differ. So the kernel of the whole table serves all of them: images outside a part
have the share 0 in every class. A row of the kernel has an arbitrary factor, which cancels in a log-likelihood ratio.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from partlabel.transfer.feature_bank import AT_ONCE
from partlabel.transfer.kernel_density import kernel

MOST = 16_384
"""Maximum number of images: the kernel then takes 1 GiB of memory."""
SHARPEST = 75.0
"""Maximum sharpness: beside an image itself, at e^RAISED, its opposite then has e^-75, enough for single precision."""


@dataclass(frozen=True, eq=False)
class TableKernel:
    """Kernel between all images of a table.

    Attributes:
        near: `exp(s cos(x, k))` up to a factor of each row, 0 on the diagonal.
        itself: The diagonal, for images that are treated as new.
    """

    near: Float[Tensor, "image image"]
    itself: Float[Tensor, " image"]

    @classmethod
    def of(cls, features: Float[Tensor, "image feature"], sharpness: float) -> "TableKernel":
        """Compare all images, whose features are rounded as in `SoftMemory`."""
        stored = normalize(features.float(), dim=1).half().float()
        near = torch.empty(len(features), len(features))
        for at in range(0, len(features), AT_ONCE):
            near[at : at + AT_ONCE] = kernel(features[at : at + AT_ONCE], stored, sharpness)
        itself = near.diagonal().clone()
        near.fill_diagonal_(0.0)
        return cls(near, itself)

    @staticmethod
    def suits(images: int, sharpness: float) -> bool:
        """Return whether a kernel of that number of images fits memory, and single precision its values."""
        return images <= MOST and sharpness <= SHARPEST

    def votes(
        self,
        rows: Int64[Tensor, " part"],
        probability: Float[Tensor, "part class"],
        asked: Int64[Tensor, " asked"],
        as_new: bool = False,
    ) -> Float[Tensor, "asked class"]:
        """Compute `SoftMemory.votes` of images of the table.

        Args:
            rows: Images that vote.
            probability: Their probabilities.
            asked: Images that are compared with them.
            as_new: Whether an image that votes is compared with itself too, as a new image with its features would be;
                otherwise it does not vote for itself.
        """
        share = torch.zeros(len(self.near), 2 * probability.shape[1])
        share[rows] = torch.cat([probability, 1 - probability], 1)
        sums = torch.cat([self.near[part] @ share for part in asked.split(AT_ONCE)])
        if as_new:
            sums = sums + self.itself[asked, None] * share[asked]
        density = (sums / share.sum(0).clamp(min=1e-6)).clamp(min=torch.finfo(torch.float32).tiny).log()
        present, absent = density.chunk(2, 1)
        return present - absent
