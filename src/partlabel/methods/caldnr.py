"""CALDNR: unknown labels are assumed absent, with less weight the more similar they are to known present ones.

Very similar ones become present. Pu et al., "Category-Adaptive Label Discovery and Noise Rejection for Multi-label
Image Recognition with Partial Positive Labels", TMM 2024, arXiv:2211.07846. Which of its variants is built:
`docs/methods/caldnr.md`.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Batch, Progress
from partlabel.methods._base import Step
from partlabel.methods._class_transfer import ClassTransfer
from partlabel.nn.heads import Head
from partlabel.transfer import pseudo_labels
from partlabel.transfer.feature_bank import FeatureMemory
from partlabel.transfer.prototypes import RunningMeans


class CALDNR(ClassTransfer):
    """Category-adaptive label discovery and noise rejection (Pu et al., TMM 2024, arXiv:2211.07846).

    `L = BCE(known + discovered + assumed absent) + 0.05 L_con`; for tables with present labels only, and for all
    others.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes; it must compute class features.
        start_epoch: First epoch (from 0) with discovery and rejection.
        threshold: Initial minimum of the mean similarity from which an unknown label counts as present.
        threshold_step: Decrease of the threshold per epoch from `start_epoch` on.
        threshold_floor: Minimum of the threshold.
        memory_size: Number of features stored per class.
        contrast_weight: Weight of the contrastive loss.
    """

    adds: ClassVar[str] = "unknown labels as absent, discovered or rejected by similarity"
    needs: ClassVar[str] = "labels (positives suffice), a head with class features"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        start_epoch: int = 5,
        threshold: float = 0.95,
        threshold_step: float = 0.025,
        threshold_floor: float = 0.6,
        memory_size: int = 100,
        contrast_weight: float = 0.05,
    ) -> None:
        super().__init__(backbone, head, start_epoch, contrast_weight)
        self.memory = FeatureMemory(head.num_classes, memory_size, head.feature_dim)
        self.usual = RunningMeans(head.num_classes, 2, 1, memory_size)
        self.threshold = threshold
        self.threshold_step = threshold_step
        self.threshold_floor = threshold_floor

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce` of known and `bce_assumed` of the other labels, a mean over both together, and `contrast`."""
        out = self.outputs(batch.inputs)
        assert out.features is not None
        known = Targets.known(batch.labels)
        similarity = self.memory.similarity(out.features.detach())
        whole = self.whole_batch(out, batch.labels, progress)
        contrast = self.contrast_term(whole, progress)
        (similar,) = distributed.all_gather_rows(similarity)
        self._follow(similar, whole.labels)
        self.memory.add(whole.features, whole.labels)
        others = Targets(torch.zeros_like(known.value), (batch.labels == UNKNOWN).float())
        found = {}
        if self.has_begun(progress):
            margin = self.margin(progress)
            found["discovered"] = pseudo_labels.accept(similarity, batch.labels, margin)
            trusted = others.weight * (1 - self.rejection(similarity, margin))
            others = found["discovered"].fill(Targets(others.value, trusted))
        here, there = (distributed.all_reduce_mean(targets.weight.sum()) for targets in (known, others))
        share = here / (here + there).clamp(min=1e-8)
        terms = {
            "bce": share * self.bce(out.logits, known),
            "bce_assumed": (1 - share) * self.bce(out.logits, others),
            "contrast": contrast,
        }
        return Step(terms, found)

    def _follow(self, similarity: Float[Tensor, "all class"], labels: Labels) -> None:
        """Update the average similarity of present labels, and of all others, once features are stored."""
        kinds = torch.stack([labels == PRESENT, labels != PRESENT], 2)
        self.usual.add(similarity[..., None], kinds & (self.memory.filled > 0)[:, None])

    def margin(self, progress: Progress) -> Float[Tensor, " class"]:
        """Compute `m_c = max(threshold, average similarity of present labels)`, from which a label is present."""
        fall = self.threshold_step * (progress.epoch - self.start_epoch)
        least = pseudo_labels.lowered(self.threshold, fall, self.threshold_floor)
        return self.usual.mean[:, 0, 0].clamp(min=least)

    def rejection(
        self, similarity: Float[Tensor, "batch class"], margin: Float[Tensor, " class"]
    ) -> Float[Tensor, "batch class"]:
        """Compute `(s - l_c) / (m_c - l_c)` in [0, 1], `l_c` half way from the other labels' average to `m_c`."""
        low = (self.usual.mean[:, 1, 0] + margin) / 2
        return ((similarity - low) / (margin - low).clamp(min=1e-6)).clamp(0, 1)
