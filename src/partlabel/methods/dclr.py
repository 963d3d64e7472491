"""DCLR: labels are smoothed over the classes that the image's features resemble, for calibrated probabilities.

Chen, Wang, Pu, Qin, Yang, Liu and Lin, "Dynamic Correlation Learning and Regularization for Multi-Label Confidence
Calibration", TIP 2024, arXiv:2407.06844. The equations are those of the authors' code (github.com/wkml/MLCC-DCLR, there
named DPCAR), which was read; the paper was not. Its labels are complete; here they are partial. Departures:
`docs/methods/dclr.md`.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.labels import PRESENT
from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Batch, Progress
from partlabel.methods._base import Step
from partlabel.methods._class_transfer import ClassTransfer
from partlabel.nn.heads import Head
from partlabel.transfer.feature_bank import FeatureMemory, class_cosines
from partlabel.transfer.prototypes import Prototypes


class DCLR(ClassTransfer):
    """Dynamic correlation learning and regularisation (Chen et al., TIP 2024, arXiv:2407.06844).

    `L = 1/2 BCE(known, smoothed by features of other images) + 1/2 BCE(known, smoothed by prototypes) + 0.05 L_con`. A
    present label gives `epsilon softmax_c(sharpness cos)` of its value to every other class c.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes; it must compute class features.
        start_epoch: First epoch (from 0) that smooths by features; before it, all other classes have equal shares.
        epsilon: Share of a present label that other classes are given.
        sharpness: Sharpness of the softmax over mean cosines.
        prototypes: Number of prototypes per class.
        every: Epochs between updates of the prototypes.
        memory_size: Number of features stored per class, which the prototypes cluster.
        contrast_weight: Weight of the contrastive loss.
        ramp_epochs: Epochs over which that weight rises from 0.
    """

    adds: ClassVar[str] = "known labels smoothed over similar classes, for calibrated probabilities"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        start_epoch: int = 5,
        epsilon: float = 0.05,
        sharpness: float = 10.0,
        prototypes: int = 10,
        every: int = 5,
        memory_size: int = 100,
        contrast_weight: float = 0.05,
        ramp_epochs: float = 1.0,
    ) -> None:
        super().__init__(backbone, head, start_epoch, contrast_weight, ramp_epochs)
        if not 0 <= epsilon < 1:
            raise ValueError(f"epsilon is {epsilon}; it is a share of a label, from 0 to below 1")
        self.memory = FeatureMemory(head.num_classes, memory_size, head.feature_dim)
        self.prototypes = Prototypes(head.num_classes, prototypes, head.feature_dim)
        self.epsilon = epsilon
        self.sharpness = sharpness
        self.every = every

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce` of the smoothed known labels, and `contrast`."""
        out = self.outputs(batch.inputs)
        assert out.features is not None
        whole = self.whole_batch(out, batch.labels, progress)
        contrast = self.contrast_term(whole, progress)
        self.memory.add(whole.features, whole.labels)
        if self.has_begun(progress):
            self.prototypes.refresh(
                self.memory, progress.opens(self.every, self.start_epoch), whole.generator
            )
            banks = [
                (self.memory.features, self.memory.filled),
                (self.prototypes.present_centres(), self.prototypes.filled),
            ]
            scores = [self.sharpness * class_cosines(out.features.detach(), *bank) for bank in banks]
        else:
            scores = [out.logits.new_zeros(()).expand(*out.logits.shape, self.head.num_classes)]
        terms = [self.bce(out.logits, smoothed(batch.labels, each, self.epsilon)) for each in scores]
        return Step({"bce": torch.stack(terms).mean(), "contrast": contrast})


def smoothed(labels: Labels, score: Float[Tensor, "batch class class"], epsilon: float) -> Targets:
    """Smooth known labels: a present one keeps `1 - epsilon`, the others share `epsilon` by a softmax of their scores.

    Args:
        labels: PRESENT, ABSENT or UNKNOWN; unknown ones get nothing, and have no target.
        score: Score of each class (last) for each present class; that of a class for itself is ignored.
        epsilon: Share that a present label gives away.
    """
    own = torch.eye(labels.shape[1], dtype=torch.bool, device=labels.device)
    least = torch.finfo(score.dtype).min  # not infinite, for tables of one class
    share = score.detach().masked_fill(own, least).softmax(2).masked_fill(own, 0)
    present = (labels == PRESENT).float()
    given = epsilon * torch.einsum("bj,bjc->bc", present, share)
    known = Targets.known(labels)
    return Targets(((1 - epsilon) * present + given).clamp(max=1), known.weight)
