"""Weak negatives: unknown labels count as absent, but so little that all of them together count as one label."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from partlabel.labels import Targets
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._assuming import Assuming, absent
from partlabel.methods._base import Batch, Progress
from partlabel.nn.heads import Head


class WeakNegatives(Assuming):
    """Weak assume negative, WAN (Cole et al., CVPR 2021, arXiv:2106.09708).

    Args:
        backbone: Images to a feature map.
        head: The feature map to classes.
        weight: How much an unknown label counts, beside 1 for a known one. None: 1 / (classes - 1), the paper's.
    """

    adds: ClassVar[str] = "unknown labels count as absent, a little"

    def __init__(self, backbone: nn.Module, head: Head, weight: float | None = None) -> None:
        super().__init__(backbone, head, PartialBCE())
        self.weight = 1 / max(head.num_classes - 1, 1) if weight is None else weight

    def assumed(self, logits: Float[Tensor, "batch class"], batch: Batch, progress: Progress) -> Targets:
        """All of them weakly absent."""
        return absent(logits, self.weight)
