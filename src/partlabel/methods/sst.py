"""SST: known labels inform unknown ones, inside an image and across images.

Chen et al., "Structured Semantic Transfer for Multi-Label Recognition with Partial Labels", AAAI 2022,
arXiv:2112.10941. The pseudo-labels come from `transfer/pseudo_labels.py`. Gaps and errors of the paper and its code,
and how they are handled: `docs/methods/sst.md`.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.collected_rows import CollectedRows
from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.methods._base import Step
from partlabel.methods._pair_transfer import PairOptions, PairTransfer
from partlabel.nn.heads import Head
from partlabel.transfer import pseudo_labels
from partlabel.transfer.feature_bank import FeatureMemory


class SST(PairTransfer):
    """Structured semantic transfer (Chen et al., AAAI 2022, arXiv:2112.10941).

    `L = BCE(known) + BCE(known + intra) + BCE(known + cross) + 10 L_co + 0.05 L_con`

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes; it must compute class features.
        start_epoch: First epoch (from 0) that trains on pseudo-labels.
        intra_threshold: Initial mean co-occurrence from which an unknown label counts as present.
        cross_threshold: Initial mean similarity from which it does.
        threshold_step: Decrease of both thresholds per epoch from `start_epoch` on.
        threshold_floor: Minimum of both thresholds.
        intra: Train on pseudo-labels from co-occurrence.
        cross: Train on pseudo-labels from similarity.
        pair_weight: Weight of the co-occurrence loss.
        contrast_weight: Weight of the contrastive loss.
        ramp_epochs: Epochs over which the last two weights rise from 0.
        memory_size: Number of features stored per class.
        pair_dim: Length of a class's feature in the pair head.
        pair_hidden_dim: Width of the pair head.
        pair_block: Number of pairs computed at a time; bounds the memory. With `pair_rank` 256 times as many.
        pair_rank: Rank of a factorised pair head, for thousands of classes (our departure); 0 for the paper's.
        unknown_pairs_are_absent: Train the pair head with unknown pairs as absent (the authors' code).
        count_empty_slots: Count empty memory slots as dissimilar (the authors' code).
        known_in_each_term: Fit the known labels in all three BCE terms (the paper), instead of in the first alone.
        precision: Precision on known validation labels that sets the thresholds after each epoch, in place of the
            schedule above; a published cosine of 0.95 is exceeded always or never, depending on the scale of the
            features.
    """

    adds: ClassVar[str] = "pseudo-labels from co-occurrence within and similarity across images"

    calibrated: Float[Tensor, " 2"]

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        start_epoch: int = 5,
        intra_threshold: float = 0.95,
        cross_threshold: float = 0.95,
        threshold_step: float = 0.025,
        threshold_floor: float = 0.75,
        intra: bool = True,
        cross: bool = True,
        pair_weight: float = 10.0,
        contrast_weight: float = 0.05,
        ramp_epochs: float = 1.0,
        memory_size: int = 100,
        pair_dim: int = 512,
        pair_hidden_dim: int = 1024,
        pair_block: int = 1024,
        pair_rank: int = 0,
        unknown_pairs_are_absent: bool = False,
        count_empty_slots: bool = False,
        known_in_each_term: bool = True,
        precision: float | None = None,
    ) -> None:
        pairs = PairOptions(
            pair_weight, pair_dim, pair_hidden_dim, pair_block, unknown_pairs_are_absent, pair_rank
        )
        super().__init__(backbone, head, start_epoch, contrast_weight, ramp_epochs, pairs)
        self.memory = FeatureMemory(head.num_classes, memory_size, head.feature_dim)
        self.intra_threshold = intra_threshold
        self.cross_threshold = cross_threshold
        self.threshold_step = threshold_step
        self.threshold_floor = threshold_floor
        self.intra = intra
        self.cross = cross
        self.count_empty_slots = count_empty_slots
        self.known_in_each_term = known_in_each_term
        self.precision = precision
        self.register_buffer("calibrated", torch.full((2,), float("inf")))
        self._scores = CollectedRows()

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce`, `cooccurrence`, `contrast`, and from `start_epoch` on `bce_intra` and `bce_cross`."""
        out = self.outputs(batch.inputs)
        assert out.features is not None
        pair_logits = self.every_pair(out)
        whole = self.whole_batch(out, batch.labels, progress)
        terms = self.known_terms(out, pair_logits, batch.labels, whole, progress)
        # Remembered before they are compared with, as in the authors' code: other images of the batch are evidence.
        # An image is never its own, for only known labels are remembered and only unknown ones are asked about.
        self.memory.add(whole.features, whole.labels)
        found, known = self.transfer(out.features, pair_logits, batch, progress), Targets.known(batch.labels)
        for name, pseudo in found.items():
            terms[f"bce_{name}"] = self.bce(
                out.logits, known.fill(pseudo) if self.known_in_each_term else pseudo
            )
        return Step(terms, found)

    def transfer(
        self,
        features: Float[Tensor, "batch class feature"],
        pair_logits: Float[Tensor, "batch pair"] | None,
        batch: Batch,
        progress: Progress,
    ) -> dict[str, Targets]:
        """Compute the pseudo-labels of a batch, `intra` and `cross`; none before `start_epoch`.

        Args:
            features: One feature per image and class.
            pair_logits: Logits of all pairs, from `every_pair`.
            batch: Images and labels; the unknown ones are filled.
            progress: Position in the run, which the thresholds depend on.
        """
        if not self.has_begun(progress):
            return {}
        intra_threshold, cross_threshold = self.thresholds(progress)
        found = {}
        if self.intra:
            score = self.intra_score(features, pair_logits, batch.labels)
            found["intra"] = pseudo_labels.accept(score, batch.labels, intra_threshold)
        if self.cross:
            found["cross"] = pseudo_labels.from_similarity(
                features, self.memory, batch.labels, cross_threshold, self.count_empty_slots
            )
        return found

    def thresholds(self, progress: Progress) -> tuple[pseudo_labels.Threshold, pseudo_labels.Threshold]:
        """Return the thresholds of intra-image and cross-image scores: the calibrated ones, or the schedule's."""
        if self.precision is not None:
            return self.calibrated[0], self.calibrated[1]
        fall = self.threshold_step * (progress.epoch - self.start_epoch)
        return (
            pseudo_labels.lowered(self.intra_threshold, fall, self.threshold_floor),
            pseudo_labels.lowered(self.cross_threshold, fall, self.threshold_floor),
        )

    def validate(self, batch: Batch) -> Float[Tensor, "batch class"]:
        """Compute logits; where thresholds are calibrated, the scores of known labels are collected.

        Intra-image scores are collected only for labels beside another one that is known to be present: all others have
        none.
        """
        out = self.outputs(batch.inputs)
        if self.precision is not None:
            assert out.features is not None
            intra = self.intra_score(out.features, self.every_pair(out), batch.labels)
            intra = pseudo_labels.as_if_unknown(intra, batch.labels)
            spoken_of = batch.labels.where(pseudo_labels.other_present(batch.labels) > 0, UNKNOWN)
            cross = self.memory.similarity(out.features, self.count_empty_slots)
            self._scores.add(intra, spoken_of, cross, batch.labels)
        return out.logits

    def end_validation(self) -> None:
        """Find the thresholds that reach the requested precision."""
        if self.precision is not None:
            intra, spoken_of, cross, labels = self._scores.take()
            for number, (votes, said) in enumerate(((intra, spoken_of), (cross, labels))):
                self.calibrated[number] = pseudo_labels.threshold_at(votes.float(), said, self.precision)
