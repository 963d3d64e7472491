"""Weak negatives: unknown labels count as absent, but so little that all of them together count as one label."""

from typing import ClassVar

from torch import nn

from partlabel.core.targets import Labels, Targets
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._assuming import AssumingFixed, absent
from partlabel.nn.heads import Head


class WeakNegatives(AssumingFixed):
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

    def assume(self, labels: Labels) -> Targets:
        """All of them weakly absent."""
        return absent(labels, self.weight)
