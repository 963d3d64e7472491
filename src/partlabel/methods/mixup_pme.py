"""MixUp-PME: mixes two images; an unknown label of the second counts as one half.

Dong, Wang, Voiculescu, "Revisiting Vicinal Risk Minimization for Partially Supervised Multi-Label Classification Under
Data Scarcity", CVPR workshops 2022, arXiv:2204.08954 (PME: the principle of maximum entropy). Departures:
`docs/methods/mixup_pme.md`.
"""

from typing import ClassVar

import torch
from torch import nn

from partlabel.core import distributed
from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._base import Method, Step
from partlabel.nn.heads import Head
from partlabel.transfer import image_mixing


class MixUpPME(Method):
    """MixUp of partially labelled images (Dong et al., CVPRW 2022, arXiv:2204.08954).

    `L = BCE(kept x + (1 - kept) x', kept y + (1 - kept) y')` where y is known, `y' = 1/2` where it is not.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        least: Minimum share of the first image; shares are uniform from there to 1, per image.
    """

    default_head: ClassVar[str] = "average"
    adds: ClassVar[str] = "images mixed two by two, unknown labels as one half"

    def __init__(self, backbone: nn.Module, head: Head, least: float = 0.75) -> None:
        super().__init__(backbone, head)
        if not 0 <= least <= 1:
            raise ValueError(f"least is {least}; it is a share of an image, from 0 to 1")
        self.loss = PartialBCE()
        self.least = least

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce` of mixtures."""
        (labels,) = distributed.all_gather_rows(batch.labels)
        generator = progress.generator(labels.device)
        partner = image_mixing.partners(len(labels), 2, generator)
        kept = self.least + (1 - self.least) * torch.rand(
            len(labels), generator=generator, device=labels.device
        )
        share = torch.stack([kept, 1 - kept])
        targets, own = image_mixing.halves(labels, partner, share), distributed.local_rows(batch.labels)
        logits = self(image_mixing.mix(batch.inputs, partner, share))
        return Step({"bce": self.loss(logits, Targets(targets.value[own], targets.weight[own]))})
