"""SST: known labels inform unknown ones, inside an image and across images.

Chen et al., "Structured Semantic Transfer for Multi-Label Recognition with Partial Labels", AAAI 2022,
arXiv:2112.10941. The pseudo-labels come from `transfer/pseudo_labels.py`. Gaps and errors of the paper and its code,
and how they are handled: `docs/methods/sst.md`.
"""

from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from partlabel.core import distributed
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.asymmetric import Asymmetric
from partlabel.losses.contrastive import Contrastive
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._base import Method, Step
from partlabel.nn.heads import Head
from partlabel.nn.pairs import (
    FactoredPairHead,
    PairHead,
    known_classes,
    pair_targets,
    row_targets,
    symmetric,
)
from partlabel.transfer import pseudo_labels
from partlabel.transfer.feature_bank import FeatureMemory

FACTORED = 256
"""Factor by which a pair needs less memory in the factorised head: one number instead of a hidden layer."""


class SST(Method):
    """Structured semantic transfer (Chen et al., AAAI 2022, arXiv:2112.10941).

    `L = BCE(known) + BCE(known + intra) + BCE(known + cross) + 10 L_co + 0.05 L_con`

    Args:
        backbone: From images to a feature map.
        head: From the feature map to classes; it must compute class features.
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

    default_head: ClassVar[str] = "residual"
    adds: ClassVar[str] = "pseudo-labels from co-occurrence within and similarity across images"
    needs: ClassVar[str] = "labels, class vectors, a head with class features"

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
        super().__init__(backbone, head)
        self.need_class_features()
        if pair_rank and unknown_pairs_are_absent:
            raise ValueError(
                "pair_rank looks at the pairs of known classes alone, and unknown_pairs_are_absent is about the "
                "others: leave one of them out"
            )
        size = head.num_classes, head.feature_dim, pair_dim
        self.pairs = (
            FactoredPairHead(*size, pair_rank) if pair_rank else PairHead(*size, pair_hidden_dim, pair_block)
        ).requires_grad_(pair_weight != 0)
        self.memory = FeatureMemory(head.num_classes, memory_size, head.feature_dim)
        self.bce = PartialBCE()
        self.pair_loss = Asymmetric(gamma_present=1.0, gamma_absent=2.0, margin=0.05)
        self.contrast = Contrastive()
        self.start_epoch = start_epoch
        self.intra_threshold = intra_threshold
        self.cross_threshold = cross_threshold
        self.threshold_step = threshold_step
        self.threshold_floor = threshold_floor
        self.intra = intra
        self.cross = cross
        self.pair_weight = pair_weight
        self.contrast_weight = contrast_weight
        self.ramp_epochs = ramp_epochs
        self.pair_block = pair_block
        self.every_pair = not pair_rank and pair_weight != 0
        self.unknown_pairs_are_absent = unknown_pairs_are_absent
        self.count_empty_slots = count_empty_slots
        self.known_in_each_term = known_in_each_term
        self.precision = precision
        self.register_buffer("calibrated", torch.full((2,), float("inf")))
        self._votes: list[tuple[Tensor, Labels, Tensor, Labels]] = []

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce`, `cooccurrence`, `contrast`, and from `start_epoch` on `bce_intra` and `bce_cross`."""
        out = self.outputs(batch.inputs)
        assert out.features is not None
        pair_logits = self.pair_logits(out.features) if self.every_pair else None
        known = Targets.known(batch.labels)
        ramp = progress.ramp(self.ramp_epochs)
        generator = progress.generator(batch.labels.device)
        # What is compared from image to image, and remembered, is of the whole batch, wherever its images are.
        features, labels = distributed.all_gather_rows(out.features, batch.labels)
        terms = {
            "bce": self.bce(out.logits, known),
            "cooccurrence": self.pair_weight
            * ramp
            * self._pair_loss(out.features, pair_logits, batch.labels),
            "contrast": self.contrast_weight * ramp * self.contrast(features, labels, generator),
        }
        # Remembered before they are compared with, as in the authors' code: other images of the batch are evidence.
        # An image is never its own, for only known labels are remembered and only unknown ones are asked about.
        self.memory.add(features, labels)
        found = self.transfer(out.features, pair_logits, batch, progress)
        for name, pseudo in found.items():
            terms[f"bce_{name}"] = self.bce(
                out.logits, known.fill(pseudo) if self.known_in_each_term else pseudo
            )
        return Step(terms, found)

    def _pair_loss(
        self,
        features: Float[Tensor, "batch class feature"],
        pair_logits: Float[Tensor, "batch pair"] | None,
        labels: Labels,
    ) -> Float[Tensor, ""]:
        """Compute the co-occurrence loss over all pairs, or the rows of known classes, which hold all known pairs."""
        if pair_logits is not None:
            return self.pair_loss(pair_logits, pair_targets(labels, self.unknown_pairs_are_absent))
        total, weight = features.sum() * 0, features.new_zeros(())
        if self.pair_weight == 0:
            return total
        sides = self.pairs.sides(features)
        for rows in known_classes(labels).split(max(1, FACTORED * self.pair_block // labels.shape[1])):
            more, of = checkpoint(self._row_loss, *sides, rows, labels, use_reentrant=False)
            total, weight = total + more, weight + of
        return total / distributed.all_reduce_mean(weight).clamp(min=1e-8)

    def _row_loss(
        self, left: Tensor, right: Tensor, rows: Int64[Tensor, " row"], labels: Labels
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Compute the summed loss of some rows, and their number of pairs."""
        targets = row_targets(labels, rows)
        return self.pair_loss.total(self.pairs.rows(left, right, rows), targets), targets.weight.sum()

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
            pair_logits: Logits of all pairs; by default only pairs with a class known to be present are computed, which
                are the ones that give evidence.
            batch: Images and labels; the unknown ones are filled.
            progress: Position in the run, which the thresholds depend on.
        """
        if progress.epoch < self.start_epoch:
            return {}
        intra_threshold, cross_threshold = self.thresholds(progress)
        found = {}
        if self.intra:
            score = self._intra_score(features, pair_logits, batch.labels)
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
        fallen = self.threshold_step * (progress.epoch - self.start_epoch)
        return (
            max(self.intra_threshold - fallen, self.threshold_floor),
            max(self.cross_threshold - fallen, self.threshold_floor),
        )

    def validate(self, batch: Batch) -> Float[Tensor, "batch class"]:
        """Compute logits; where thresholds are calibrated, the scores of known labels are collected.

        Intra-image scores are collected only for labels beside another one that is known to be present: all others have
        none.
        """
        out = self.outputs(batch.inputs)
        if self.precision is not None:
            assert out.features is not None
            pair_logits = self.pair_logits(out.features) if self.every_pair else None
            intra = self._intra_score(out.features, pair_logits, batch.labels)
            intra = pseudo_labels.as_if_unknown(intra, batch.labels)
            spoken_of = batch.labels.where(pseudo_labels.other_present(batch.labels) > 0, UNKNOWN)
            cross = self.memory.similarity(out.features, self.count_empty_slots)
            self._votes.append((intra, spoken_of, cross, batch.labels))
        return out.logits

    def end_validation(self) -> None:
        """Find the thresholds that reach the requested precision."""
        if self.precision is not None:
            intra, spoken_of, cross, labels = distributed.all_gather_rows(
                *map(torch.cat, zip(*self._votes, strict=True))
            )
            self._votes.clear()
            for number, (votes, said) in enumerate(((intra, spoken_of), (cross, labels))):
                self.calibrated[number] = pseudo_labels.threshold_at(votes.float(), said, self.precision)

    @torch.no_grad()
    def _intra_score(
        self,
        features: Float[Tensor, "batch class feature"],
        pair_logits: Float[Tensor, "batch pair"] | None,
        labels: Labels,
    ) -> Float[Tensor, "batch class"]:
        """Score every class by the classes known to be present in its image."""
        if pair_logits is not None:
            return pseudo_labels.cooccurrence_score(pair_logits.sigmoid(), labels)
        rows = (labels == PRESENT).any(0).nonzero().squeeze(1)
        probability = self.pairs.rows(*self.pairs.sides(features), rows).sigmoid()
        return pseudo_labels.cooccurrence_score_by_rows(probability, rows, labels)

    def pair_logits(self, features: Float[Tensor, "batch class feature"]) -> Float[Tensor, "batch pair"]:
        """Compute logits that two classes occur together, pairs in `torch.triu_indices(C, C, 1)` order."""
        return self.pairs(features)

    def cooccurrence(
        self, features: Float[Tensor, "batch class feature"]
    ) -> Float[Tensor, "batch class class"]:
        """Compute probabilities that two classes occur together; 1 on the diagonal."""
        return symmetric(self.pair_logits(features).sigmoid(), self.head.num_classes)
