"""LL-Cp: of the unknown labels assumed absent, those with the largest loss become present permanently."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.methods._large_loss import LargeLoss
from partlabel.nn.heads import Head
from partlabel.transfer.label_store import ImageTable


class LLCp(LargeLoss):
    """Large-loss correction, permanent, LL-Cp (Kim et al., CVPR 2022, arXiv:2206.03740).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        share: Share of all labels of a batch that are corrected in each step after the first epoch.
    """

    adds: ClassVar[str] = "unknown labels count as absent; the most costly as present, for good"
    needs: ClassVar[str] = "labels; keeps a byte per label"

    def __init__(self, backbone: nn.Module, head: Head, share: float = 0.001) -> None:
        super().__init__(backbone, head, share)
        self.corrected = ImageTable(head.num_classes, 0, torch.int8)

    def assumed(self, logits: Float[Tensor, "batch class"], batch: Batch, progress: Progress) -> Targets:
        """Assume labels absent, except those corrected before and the suspects of this step, which are present."""
        before = self.corrected.read(batch.index) == 1
        present = before
        if progress.epoch > 0:
            present = before | self.suspects(logits, (batch.labels == UNKNOWN) & ~before)
            self.corrected.write(*distributed.all_gather_rows(batch.index, present.to(torch.int8)))
        return Targets(present.float(), torch.ones_like(logits))
