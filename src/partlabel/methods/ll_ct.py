"""LL-Ct: of the unknown labels assumed absent, those with the largest loss are present in this step."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.methods._large_loss import LargeLoss
from partlabel.nn.heads import Head


class LLCt(LargeLoss):
    """Large-loss correction, temporary, LL-Ct (Kim et al., CVPR 2022, arXiv:2206.03740).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        share: Increase per epoch of the share of all labels of a batch that are corrected; 0 in the first epoch.
    """

    adds: ClassVar[str] = "unknown labels count as absent; the most costly as present, for the step"

    def __init__(self, backbone: nn.Module, head: Head, share: float = 0.002) -> None:
        super().__init__(backbone, head, share)

    def assumed(self, logits: Float[Tensor, "batch class"], batch: Batch, progress: Progress) -> Targets:
        """Assume labels absent, except the suspects, which are present."""
        suspects = self.suspects(logits, batch.labels == UNKNOWN, float(progress.epoch))
        return Targets(suspects.float(), torch.ones_like(logits))
