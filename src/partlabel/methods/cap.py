"""CAP: the class distribution of the known labels says how many unknown labels of each class become pseudo-labels.

Xie, Xiao, Liu, Niu, Sugiyama and Huang, "Class-Distribution-Aware Pseudo-Labeling for Semi-Supervised Multi-Label
Learning", NeurIPS 2023, arXiv:2305.02795:

    q_c = present_c / known_c
    y_c = 1 if s_c >= t_c, 0 if s_c <= u_c, unknown otherwise

where `share_present q_c` of the scores of class c are at least `t_c` and `share_absent (1 - q_c)` at most `u_c`.

Departures:

- The paper has images with all labels and images with none; here each label is known or unknown, and every class counts
  its own.
- The scores are those computed in training in the last epoch, so that no image is computed twice; the paper predicts
  again, on weakly augmented images, and learns from strongly augmented ones. It also averages the weights of the
  recogniser over time.
- The loss is the binary cross-entropy; the paper takes the asymmetric one.
- The full-batch solver scores every image by a head that was fitted without it.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._assuming import Assuming
from partlabel.methods._base import FullBatch
from partlabel.nn.heads import Head
from partlabel.transfer import pseudo_labels
from partlabel.transfer.class_proportions import known_proportion
from partlabel.transfer.thresholds import ByProportion


class CAP(Assuming):
    """Class-distribution-aware pseudo-labels (Xie et al., NeurIPS 2023, arXiv:2305.02795).

    The known labels of each class have to be a fair sample of it; otherwise give `positives`.

    Args:
        backbone: From images to a feature map.
        head: From the feature map to classes.
        start_epoch: First epoch (from 0) that trains on pseudo-labels, at least 1.
        share_present: Share of the expected present labels that become pseudo-labels, in [0, 1].
        share_absent: Share of the expected absent labels that do, in [0, 1].
        positives: Number of present classes per image; None estimates the proportions from the known labels.
    """

    adds: ClassVar[str] = "the surest unknown labels of each class, as many as its proportion says"
    needs: ClassVar[str] = "labels, present and absent; keeps a number per label"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        start_epoch: int = 5,
        share_present: float = 1.0,
        share_absent: float = 1.0,
        positives: float | None = None,
    ) -> None:
        super().__init__(backbone, head, PartialBCE())
        self.start_epoch = start_epoch
        self.thresholds = ByProportion(head.num_classes, share_present, share_absent, positives)

    def assumed(self, logits: Float[Tensor, "batch class"], batch: Batch, progress: Progress) -> Targets:
        """Decide unknown labels by the thresholds of the last epoch."""
        found = pseudo_labels.decide(logits, batch.labels, self.thresholds.cutoffs())
        self.thresholds.see(logits, torch.ones_like(logits, dtype=torch.bool), batch, progress)
        started = float(progress.epoch >= self.start_epoch)
        return Targets(found.value, found.weight * started)

    def fit_full_batch(self, problem: FullBatch) -> None:
        """Fit the known labels out of fold, then these and the pseudo-labels."""
        known, rule = Targets.known(problem.labels), self.thresholds
        found = pseudo_labels.by_proportion(
            problem.cross_fit(known),
            problem.labels,
            known_proportion(problem.labels, rule.positives),
            rule.share_present,
            rule.share_absent,
        )
        problem.fit(self.head, known.fill(found))

    def pseudo_labels(self, assumed: Targets) -> dict[str, Targets]:
        """Log all assumed labels."""
        return {"proportion": assumed}
