"""SARB: features blended with those of another image, or with a prototype, give unknown labels a known target.

Pu et al., "Semantic-Aware Representation Blending for Multi-Label Image Recognition with Partial Labels", AAAI 2022,
arXiv:2203.02172. Gaps and errors of the paper, and how they are handled: `docs/methods/sarb.md`.
"""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Labels
from partlabel.core.types import Progress
from partlabel.methods._blending import Blending
from partlabel.nn.heads import ClassOutput, Head
from partlabel.transfer import feature_blending
from partlabel.transfer.feature_bank import FeatureMemory
from partlabel.transfer.prototypes import Prototypes


class SARB(Blending):
    """Semantic-aware representation blending (Pu et al., AAAI 2022, arXiv:2203.02172).

    `L = BCE(known) + BCE(instance blend) + BCE(prototype blend) + 0.05 L_con`

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes; it must compute class features.
        start_epoch: First epoch (from 0) with blending.
        blends: Number of unknown labels of each image that are blended with a prototype.
        prototypes: Number of prototypes per class.
        every: Epochs between updates of the prototypes.
        memory_size: Number of features stored per class, which the prototypes cluster.
        contrast_weight: Weight of the contrastive loss.
        ramp_epochs: Epochs over which that weight rises from 0.
    """

    adds: ClassVar[str] = "features blended with those of other images and with prototypes of classes"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        start_epoch: int = 5,
        blends: int = 1,
        prototypes: int = 10,
        every: int = 5,
        memory_size: int = 100,
        contrast_weight: float = 0.05,
        ramp_epochs: float = 1.0,
    ) -> None:
        super().__init__(backbone, head, start_epoch, contrast_weight, ramp_epochs)
        self.memory = FeatureMemory(head.num_classes, memory_size, head.feature_dim)
        self.prototypes = Prototypes(head.num_classes, prototypes, head.feature_dim)
        self.blends = blends
        self.every = every

    def remember(
        self, out: ClassOutput, features: Float[Tensor, "all class feature"], labels: Labels
    ) -> None:
        """Store the features known to show their class."""
        self.memory.add(features, labels)

    def stand_ins(
        self, out: ClassOutput, labels: Labels, progress: Progress, generator: torch.Generator
    ) -> tuple[Float[Tensor, "class feature"], Bool[Tensor, "batch class"]]:
        """Choose one prototype number for all classes, and some unknown labels of each image."""
        self.prototypes.refresh(self.memory, progress.opens(self.every, self.start_epoch), generator)
        able = (labels == UNKNOWN) & (self.prototypes.filled > 0)
        where = feature_blending.drawn(able, self.blends, generator)[distributed.local_rows(out.logits)]
        number = torch.randint(self.prototypes.size, (), generator=generator, device=labels.device)
        return self.prototypes.pick(number), where
