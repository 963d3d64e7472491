"""SoftSST: SST's cross-image transfer as calibrated soft evidence, in training and in prediction.

Our departure from SST (Chen et al., AAAI 2022, arXiv:2112.10941), for collections of a few thousand photos on a small
frozen backbone, where SST's thresholds on mean cosines are exceeded always or never (docs/log.md):

- besides the head, several copies of it are trained, each without one fold of the images, so that every known label is
  scored by a copy that was not trained on it (out-of-fold);
- the evidence is the log-likelihood ratio of the stored images that show a class against those that lack it, under a
  sharp kernel, so that the nearest images dominate; the mean cosine to all of them carries little information;
- the weight of the evidence, in log-odds, is the one that best explains those out-of-fold labels, without a threshold
  (`transfer/calibrated_evidence.py`);
- pseudo-labels are soft and of either sign: the log-odds of the copies' mean plus the evidence. A recogniser trained on
  its own current predictions has no gradient;
- the evidence is added in prediction too: pseudo-labels teach at most what a full table would, and the memory adds to
  that.

The intra-image half, where known labels inform unknown ones of the same image, is `posthoc/label_completion.py`: it
needs images with known labels, so it is applied when a table is filled.
"""

import copy
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.collected_rows import CollectedRows
from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._base import FullBatch, Method, Step
from partlabel.nn.heads import ClassOutput, Head
from partlabel.transfer.calibrated_evidence import CalibratedEvidence, OutOfFoldScores
from partlabel.transfer.feature_bank import ImageMemory, in_parts


class SoftSST(CalibratedEvidence, Method):
    """Structured semantic transfer by calibrated soft evidence (after Chen et al., AAAI 2022, arXiv:2112.10941).

    First `L = BCE(known)`, after `start` of the run `L = BCE(known + soft) / sqrt(share known)`: a mean over all
    labels, with a smaller effective weight decay, as there is more to fit. The copies learn from the known labels
    throughout. In prediction `logit = head + worth scale_c evidence_c`, the evidence centred, divided by its standard
    deviation and clipped, in units of the standard deviation of the logit; a common slope and an offset per class
    calibrate the sum.

    With a frozen backbone a copy is independent of the labels that it scores. A trained backbone has seen all of them,
    and the weight of the evidence is then underestimated.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes; it must compute an image feature.
        start: Share of the run after which pseudo-labels are trained on; 1 never.
        folds: Number of copies of the head; each is trained without one of as many folds of the images.
        sharpness: Sharpness of the kernel that compares images.
        memory_size: Maximum number of stored images.
    """

    default_head: ClassVar[str] = "covariance"
    adds: ClassVar[str] = "votes of similar images, weighed on re-hidden labels, in training and prediction"
    needs: ClassVar[str] = "labels, a head with an image feature"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        start: float = 1 / 3,
        folds: int = 4,
        sharpness: float = 50.0,
        memory_size: int = 16384,
    ) -> None:
        super().__init__(backbone, head)
        if not head.image_dim:
            raise ValueError(
                f"SoftSST compares images, and the head {type(head).__name__} gives no feature of the image; "
                "take one that does, such as 'covariance', 'average' or 'residual'"
            )
        if folds < 2:
            raise ValueError(
                f"folds is {folds}; it has to be at least 2, for each copy sees all images but its share"
            )
        self.folds = nn.ModuleList(copy.deepcopy(head) for _ in range(folds))
        self.memory = ImageMemory(head.num_classes, memory_size, head.image_dim)
        self.bce = PartialBCE()
        self.start = start
        self.sharpness = sharpness
        self.register_evidence(head.num_classes)
        self._judged = OutOfFoldScores()
        self._validated = CollectedRows()

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce_rehidden` of the copies; of the head `bce`, and later `bce_cross` with soft pseudo-labels."""
        feature_map = self.head.prepare(self.backbone(batch.inputs))
        out, known = self.head(feature_map), Targets.known(batch.labels)
        assert out.image is not None
        self.memory.add(*distributed.all_gather_rows(out.image.detach(), batch.labels, batch.index))
        fold = batch.index % len(self.folds)
        # The backbone learns from the head alone.
        copies = torch.stack([head(feature_map.detach()).logits for head in self.folds])
        terms = {"bce_rehidden": self._rehidden(copies, known, fold)}
        begins = round(self.start * progress.epochs)
        if progress.epoch + 1 < min(begins, round(progress.epochs / 3)):
            return Step({"bce": self.bce(out.logits, known)} | terms)
        copies = copies.detach().float()
        evidence = self._evidence(out, batch.index)
        self._judged.add(copies, evidence, batch.labels, fold)
        if progress.epoch < begins:
            step = Step({"bce": self.bce(out.logits, known)} | terms)
        else:
            soft = self.soft_labels(copies.mean(0), evidence, batch.labels)
            share = distributed.all_reduce_mean(known.weight.sum()) / distributed.all_reduce_mean(
                torch.ones_like(known.weight).sum()
            )
            taught = self.bce(out.logits, known.fill(soft)) * share.clamp(min=1e-6).rsqrt()
            step = Step({"bce_cross": taught} | terms, {"cross": soft})
        if progress.batch + 1 == progress.batches:
            self.weigh(*self._judged.take())
        return step

    def fit_full_batch(self, problem: FullBatch) -> None:
        """Fit by the full-batch solver; cross-validated predictions take the place of the copies.

        The known labels are fitted, then these and soft pseudo-labels, with the weight decay that the loss of the steps
        implies; slope and offsets come from predictions of images by heads that were fitted without them.
        """
        labels, known = problem.labels, Targets.known(problem.labels)
        held_out = problem.cross_fit(known)
        problem.fit(self.head, known)
        self.eval()
        out, index = self.head(problem.maps), torch.arange(len(labels))
        assert out.image is not None
        self.memory.add(out.image, labels, index)
        evidence = in_parts(self.memory.evidence, out.image, self.sharpness, index)
        self.weigh(held_out, evidence, labels)
        share = known.weight.mean().clamp(min=1e-6)
        taught = known.fill(self.soft_labels(held_out, evidence, labels))
        strength = float(share.sqrt())
        problem.fit(self.head, taught, strength)
        held_out = problem.cross_fit(taught, strength)
        self.fit_calibration(held_out + self.in_logits(evidence), labels)

    def _rehidden(
        self, copies: Float[Tensor, "fold batch class"], known: Targets, fold: Int64[Tensor, " batch"]
    ) -> Float[Tensor, ""]:
        """Sum, over the copies, each copy's BCE on known labels of images outside its fold."""
        terms = [
            self.bce(logits, Targets(known.value, known.weight * (fold != number)[:, None]))
            for number, logits in enumerate(copies)
        ]
        return torch.stack(terms).sum()

    def _evidence(self, out: ClassOutput, index: Tensor | None = None) -> Float[Tensor, "batch class"]:
        assert out.image is not None
        return self.memory.evidence(out.image.detach(), self.sharpness, index)

    def vote(self, out: ClassOutput) -> Float[Tensor, "batch class"]:
        """Compute what the stored images add to the log-odds of each label."""
        if not torch.compiler.is_exporting() and self.worth == 0:  # a graph has no branches
            return torch.zeros_like(out.logits)
        return self.in_logits(self._evidence(out))

    def predicts_with(self) -> tuple[str, ...]:
        """Name head and calibration, and the memory where the evidence has a weight; not the copies."""
        return (*super().predicts_with(), *self.PREDICTING, *(("memory",) if self.worth != 0 else ()))

    def forward(self, images: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch class"]:
        """Compute logits: the head's plus the evidence."""
        out = self.outputs(images)
        return self.calibrated(out.logits + self.vote(out))

    def validate(self, batch: Batch) -> Float[Tensor, "batch class"]:
        """Compute logits; they are collected before calibration, which is fitted on them."""
        out = self.outputs(batch.inputs)
        joined = (out.logits.float() + self.vote(out)).detach()
        self._validated.add(joined, batch.labels)
        return self.calibrated(joined)

    def end_validation(self) -> Float[Tensor, "image class"]:
        """Fit the slope and the offsets that calibrate head plus evidence."""
        joined, labels = self._validated.take()
        self.fit_calibration(joined, labels)
        return self.calibrated(joined)
