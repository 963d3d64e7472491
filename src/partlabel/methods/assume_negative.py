"""Assume negative: the baseline of single-positive learning, where unknown is taken for absent."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from partlabel.labels import Targets
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._assuming import Assuming, absent
from partlabel.methods._base import Batch, Progress
from partlabel.nn.heads import Head


class AssumeNegative(Assuming):
    """Assume negative, AN (Cole et al., CVPR 2021, arXiv:2106.09708).

    Args:
        backbone: Images to a feature map.
        head: The feature map to classes.
    """

    adds: ClassVar[str] = "unknown labels count as absent"

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__(backbone, head, PartialBCE())

    def assumed(self, logits: Float[Tensor, "batch class"], batch: Batch, progress: Progress) -> Targets:
        """All of them absent."""
        return absent(logits)
