"""Base of SST and HST: a pair head learns which classes occur together, and known labels inform those beside them."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from partlabel.core import distributed
from partlabel.core.labels import PRESENT
from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Progress
from partlabel.losses.asymmetric import Asymmetric
from partlabel.methods._class_transfer import ClassTransfer, WholeBatch
from partlabel.nn.factored_pair_head import FactoredPairHead
from partlabel.nn.heads import ClassOutput, Head
from partlabel.nn.pair_head import PairHead
from partlabel.nn.pairs import known_classes, pair_targets, row_targets, symmetric
from partlabel.transfer import pseudo_labels

FACTORED = 256
"""Factor by which a pair needs less memory in the factorised head: one number instead of a hidden layer."""


class PairOptions(NamedTuple):
    """Size and training of the pair head.

    Attributes:
        weight: Weight of the co-occurrence loss; with 0 the pair head is not trained.
        dim: Length of a class's feature in the pair head.
        hidden_dim: Width of the pair head.
        block: Number of pairs computed at a time; bounds the memory. With `rank` 256 times as many.
        unknown_are_absent: Train the pair head with unknown pairs as absent (the authors' code).
        rank: Rank of a factorised pair head, for thousands of classes; 0 for the head of the papers.
    """

    weight: float
    dim: int
    hidden_dim: int
    block: int
    unknown_are_absent: bool
    rank: int = 0


class PairTransfer(ClassTransfer):
    """Method with a pair head, its loss, and scores of unknown labels by the known ones of their image.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes; it must compute class features.
        start_epoch: First epoch (from 0) that trains on pseudo-labels.
        contrast_weight: Weight of the contrastive loss.
        ramp_epochs: Epochs over which this weight and that of the co-occurrence loss rise from 0.
        options: Size and training of the pair head.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        start_epoch: int,
        contrast_weight: float,
        ramp_epochs: float,
        options: PairOptions,
    ) -> None:
        super().__init__(backbone, head, start_epoch, contrast_weight, ramp_epochs)
        if options.rank and options.unknown_are_absent:
            raise ValueError(
                "pair_rank computes only the pairs of known classes, and unknown_pairs_are_absent is about the "
                "others: leave one of them out"
            )
        size = head.num_classes, head.feature_dim, options.dim
        self.pairs = (
            FactoredPairHead(*size, options.rank)
            if options.rank
            else PairHead(*size, options.hidden_dim, options.block)
        ).requires_grad_(options.weight != 0)
        self.pair_loss = Asymmetric(gamma_present=1.0, gamma_absent=2.0, margin=0.05)
        self.pair_options = options

    def known_terms(
        self,
        out: ClassOutput,
        pair_logits: Float[Tensor, "batch pair"] | None,
        labels: Labels,
        whole: WholeBatch,
        progress: Progress,
    ) -> dict[str, Float[Tensor, ""]]:
        """Compute the terms of known labels: `bce`, `cooccurrence` and `contrast`.

        Args:
            out: Head outputs of the images of this process.
            pair_logits: Logits of all pairs, from `every_pair`.
            labels: Labels of these images.
            whole: Features and labels of all processes.
            progress: Position in the run.
        """
        assert out.features is not None
        weight = self.pair_options.weight * progress.ramp(self.ramp_epochs)
        return {
            "bce": self.bce(out.logits, Targets.known(labels)),
            "cooccurrence": weight * self._pair_loss(out.features, pair_logits, labels),
            "contrast": self.contrast_term(whole, progress),
        }

    def pair_logits(self, features: Float[Tensor, "batch class feature"]) -> Float[Tensor, "batch pair"]:
        """Compute logits that two classes occur together, pairs in `torch.triu_indices(C, C, 1)` order."""
        return self.pairs(features)

    def every_pair(self, out: ClassOutput) -> Float[Tensor, "batch pair"] | None:
        """Compute the logits of all pairs; None if those of known classes suffice: factorised, or not trained."""
        if self.pair_options.rank or self.pair_options.weight == 0:
            return None
        assert out.features is not None
        return self.pair_logits(out.features)

    @torch.no_grad()
    def intra_score(
        self,
        features: Float[Tensor, "batch class feature"],
        pair_logits: Float[Tensor, "batch pair"] | None,
        labels: Labels,
    ) -> Float[Tensor, "batch class"]:
        """Score every class by the classes known to be present in its image.

        Args:
            features: One feature per image and class.
            pair_logits: Logits of all pairs, from `every_pair`; with None only pairs with a class that is known to be
                present are computed, which are the ones that give evidence.
            labels: PRESENT, ABSENT or UNKNOWN.
        """
        if pair_logits is not None:
            return pseudo_labels.cooccurrence_score(pair_logits.sigmoid(), labels)
        rows = (labels == PRESENT).any(0).nonzero().squeeze(1)
        probability = self.pairs.rows(*self.pairs.sides(features), rows).sigmoid()
        return pseudo_labels.cooccurrence_score_by_rows(probability, rows, labels)

    def cooccurrence(
        self, features: Float[Tensor, "batch class feature"]
    ) -> Float[Tensor, "batch class class"]:
        """Compute probabilities that two classes occur together; 1 on the diagonal."""
        return symmetric(self.pair_logits(features).sigmoid(), self.head.num_classes)

    def _pair_loss(
        self,
        features: Float[Tensor, "batch class feature"],
        pair_logits: Float[Tensor, "batch pair"] | None,
        labels: Labels,
    ) -> Float[Tensor, ""]:
        """Compute the co-occurrence loss over all pairs, or the rows of known classes, which hold all known pairs."""
        options = self.pair_options
        if pair_logits is not None:
            return self.pair_loss(pair_logits, pair_targets(labels, options.unknown_are_absent))
        total, weight = features.sum() * 0, features.new_zeros(())
        if options.weight == 0:
            return total
        sides = self.pairs.sides(features)
        for rows in known_classes(labels).split(max(1, FACTORED * options.block // labels.shape[1])):
            more, of = checkpoint(self._row_loss, *sides, rows, labels, use_reentrant=False)
            total, weight = total + more, weight + of
        return total / distributed.all_reduce_mean(weight).clamp(min=1e-8)

    def _row_loss(
        self, left: Tensor, right: Tensor, rows: Int64[Tensor, " row"], labels: Labels
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Compute the summed loss of some rows, and their number of pairs."""
        targets = row_targets(labels, rows)
        return self.pair_loss.total(self.pairs.rows(left, right, rows), targets), targets.weight.sum()
