"""DSRB: SARB with a prototype of each class for each quarter of the image.

Pu et al., "Dual-Perspective Semantic-Aware Representation Blending for Multi-Label Image Recognition with Partial
Labels", Expert Systems with Applications 2024, arXiv:2205.13092. The published code does not run; how gaps were filled:
`docs/methods/dsrb.md`.
"""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels
from partlabel.core.types import Progress
from partlabel.methods._blending import Blending
from partlabel.nn.heads import ClassOutput, Head
from partlabel.transfer import feature_blending
from partlabel.transfer.prototypes import RunningMeans

QUARTERS = 4


class DSRB(Blending):
    """Dual-perspective semantic-aware representation blending (Pu et al., ESWA 2024, arXiv:2205.13092).

    `L = BCE(known) + BCE(instance blend) + BCE(prototype blend) + 0.05 L_con`

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes; it must compute a feature and an attention map per class.
        start_epoch: First epoch (from 0) with blending.
        blends: Number of unknown labels of each image that are blended with a prototype.
        memory_size: Approximate number of features that a prototype averages.
        contrast_weight: Weight of the contrastive loss.
        ramp_epochs: Epochs over which that weight rises from 0.
    """

    adds: ClassVar[str] = "SARB with prototypes by where in the image a class is"
    needs: ClassVar[str] = "labels, class vectors, a head with class features and attention"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        start_epoch: int = 5,
        blends: int = 1,
        memory_size: int = 100,
        contrast_weight: float = 0.05,
        ramp_epochs: float = 1.0,
    ) -> None:
        super().__init__(backbone, head, start_epoch, contrast_weight, ramp_epochs)
        self.means = RunningMeans(head.num_classes, QUARTERS + 1, head.feature_dim, memory_size)
        self.blends = blends

    def remember(
        self, out: ClassOutput, features: Float[Tensor, "all class feature"], labels: Labels
    ) -> None:
        """Update the means of each class, in its quarter and in all of them, with features known to show the class."""
        (quarter,) = distributed.all_gather_rows(self.quarters(out))
        kind = torch.arange(QUARTERS + 1, device=labels.device)
        lies = (quarter[..., None] == kind) | (kind == QUARTERS)
        self.means.add(features, lies & (labels == PRESENT)[..., None])

    def stand_ins(
        self, out: ClassOutput, labels: Labels, progress: Progress, generator: torch.Generator
    ) -> tuple[Float[Tensor, "batch class feature"], Bool[Tensor, "batch class"]]:
        """Choose the mean of another quarter, or of all if that is empty, and some unknown labels of each image."""
        own = distributed.local_rows(out.logits)
        able = (labels == UNKNOWN) & (self.means.count[:, QUARTERS] > 0)
        where = feature_blending.drawn(able, self.blends, generator)[own]
        further = torch.randint(1, QUARTERS, (len(labels), 1), generator=generator, device=labels.device)[own]
        kind = (self.quarters(out) + further) % QUARTERS
        classes = torch.arange(labels.shape[1], device=labels.device)
        kind = torch.where(self.means.count[classes, kind] > 0, kind, QUARTERS)
        return self.means.mean[classes, kind], where

    def quarters(self, out: ClassOutput) -> Int64[Tensor, "batch class"]:
        """Find the quarter of strongest attention per class: upper left, upper right, lower left, lower right.

        Raises:
            ValueError: The head has no attention.
        """
        if out.attention is None:
            raise ValueError(
                f"DSRB needs the position of a class in an image, and the head {type(self.head).__name__} has no "
                "attention; take one that does, such as 'ssgrl' or 'residual'"
            )
        height, width = out.attention.shape[2:]
        place = out.attention.flatten(2).argmax(2)
        below, right = 2 * (place // width) >= height, 2 * (place % width) >= width
        return 2 * below + right.long()
