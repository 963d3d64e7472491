"""Assume negative: the baseline of single-positive learning, which takes unknown labels as absent."""

from typing import ClassVar

from torch import nn

from partlabel.core.targets import Labels, Targets
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._assuming import AssumingFixed, absent
from partlabel.nn.heads import Head


class AssumeNegative(AssumingFixed):
    """Assume negative, AN (Cole et al., CVPR 2021, arXiv:2106.09708).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
    """

    adds: ClassVar[str] = "unknown labels count as absent"

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__(backbone, head, PartialBCE())

    def assume(self, labels: Labels) -> Targets:
        """Assume all labels absent."""
        return absent(labels)
