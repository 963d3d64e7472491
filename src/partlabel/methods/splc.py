"""SPLC: unknown labels are assumed absent until they are predicted with confidence, then present."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.focal_margin import FocalMargin
from partlabel.methods._assuming import Correcting
from partlabel.nn.heads import Head


class SPLC(Correcting):
    """Self-paced loss correction (Zhang et al., 2021, arXiv:2112.07368).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        threshold: Probability above which an unknown label counts as present.
        start_epoch: First epoch (from 0) with corrections.
        margin: Margin in logits that a present label needs.
        gamma: Focusing exponent.
    """

    adds: ClassVar[str] = "unknown labels count as absent, or as present where predicted with confidence"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        threshold: float = 0.6,
        start_epoch: int = 1,
        margin: float = 1.0,
        gamma: float = 2.0,
    ) -> None:
        super().__init__(backbone, head, FocalMargin(margin, gamma))
        self.threshold = threshold
        self.start_epoch = start_epoch

    def assumed(self, logits: Float[Tensor, "batch class"], batch: Batch, progress: Progress) -> Targets:
        """Assume labels present above the threshold, else absent."""
        sure = (logits.sigmoid() > self.threshold) & (progress.epoch >= self.start_epoch)
        return Targets(sure.float(), torch.ones_like(logits))
