"""Label smoothing over assumed negatives: less extreme targets give wrong assumptions smaller gradients."""

from typing import ClassVar

import torch
from torch import nn

from partlabel.core.targets import Labels, Targets
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._assuming import AssumingFixed
from partlabel.nn.heads import Head


class LabelSmoothing(AssumingFixed):
    """Assume negative with label smoothing, AN-LS (Cole et al., CVPR 2021, arXiv:2106.09708).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        smoothing: Distance of the targets from 1 and 0.
    """

    adds: ClassVar[str] = "unknown labels count as absent, with smoothed targets"

    def __init__(self, backbone: nn.Module, head: Head, smoothing: float = 0.1) -> None:
        super().__init__(backbone, head, PartialBCE())
        self.smoothing = smoothing

    def known(self, labels: Labels) -> Targets:
        """Smooth the known labels."""
        hard = Targets.known(labels)
        return Targets(self.smoothing + (1 - 2 * self.smoothing) * hard.value, hard.weight)

    def assume(self, labels: Labels) -> Targets:
        """Assume all labels absent, smoothed."""
        value = torch.full_like(labels, self.smoothing, dtype=torch.float32)
        return Targets(value, torch.ones_like(value))
