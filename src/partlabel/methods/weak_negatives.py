"""Weak negatives: unknown labels are assumed absent, with a total weight of one label."""

from typing import ClassVar

from torch import nn

from partlabel.core.targets import Labels, Targets
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._assuming import AssumingFixed, absent
from partlabel.nn.heads import Head


class WeakNegatives(AssumingFixed):
    """Weak assume negative, WAN (Cole et al., CVPR 2021, arXiv:2106.09708).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        weight: Weight of an unknown label, relative to 1 for a known one. None: 1 / (classes - 1), the paper's.
    """

    adds: ClassVar[str] = "unknown labels count as absent, a little"

    def __init__(self, backbone: nn.Module, head: Head, weight: float | None = None) -> None:
        super().__init__(backbone, head, PartialBCE())
        self.weight = 1 / max(head.num_classes - 1, 1) if weight is None else weight

    def assume(self, labels: Labels) -> Targets:
        """Assume all labels absent with that weight."""
        return absent(labels, self.weight)
