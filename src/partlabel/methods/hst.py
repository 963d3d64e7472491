"""HST: SST with prototypes in place of its memory, and thresholds that are learned from known labels.

Chen et al., "Heterogeneous Semantic Transfer for Multi-label Recognition with Partial Labels", IJCV 2024,
arXiv:2205.11131. Gaps and errors of the paper, and how they are handled: `docs/methods/hst.md`.
"""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Batch, Progress
from partlabel.methods._base import Step
from partlabel.methods._pair_transfer import PairOptions, PairTransfer
from partlabel.nn.heads import ClassOutput, Head
from partlabel.transfer import pseudo_labels
from partlabel.transfer.feature_bank import FeatureMemory
from partlabel.transfer.prototypes import Prototypes, prototype_loss


class HST(PairTransfer):
    """Heterogeneous semantic transfer (Chen et al., IJCV 2024, arXiv:2205.11131).

    `L = BCE(known) + BCE(known + intra) + BCE(known + cross) + 10 L_co + 0.05 L_con + 0.05 L_proto
    + 0.1 (L_threshold intra + L_threshold cross)`

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes; it must compute class features.
        start_epoch: First epoch (from 0) that trains on pseudo-labels.
        intra_threshold: Initial mean co-occurrence from which an unknown label counts as present.
        cross_threshold: Initial mean similarity to the prototypes from which it does.
        pace: Learning rate of the thresholds, as a multiple of the learning rate.
        sharpness: Slope of the sigmoid that the thresholds are learned with.
        threshold_weight: Weight of the losses of the thresholds.
        prototype_weight: Weight of the loss that pulls features to the prototypes of present classes.
        prototypes: Number of prototypes per class.
        every: Epochs between updates of the prototypes.
        memory_size: Number of features stored per class, which the prototypes cluster.
        pair_weight: Weight of the co-occurrence loss.
        contrast_weight: Weight of the contrastive loss.
        ramp_epochs: Epochs over which the last two weights rise from 0.
        pair_dim: Length of a class's feature in the pair head.
        pair_hidden_dim: Width of the pair head.
        pair_block: Number of pairs computed at a time; bounds the memory.
        unknown_pairs_are_absent: Train the pair head with unknown pairs as absent (the authors' code).
    """

    adds: ClassVar[str] = "SST with prototypes and learned thresholds"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        start_epoch: int = 5,
        intra_threshold: float = 1.0,
        cross_threshold: float = 1.0,
        pace: float = 1.0,
        sharpness: float = 20.0,
        threshold_weight: float = 0.1,
        prototype_weight: float = 0.05,
        prototypes: int = 10,
        every: int = 5,
        memory_size: int = 100,
        pair_weight: float = 10.0,
        contrast_weight: float = 0.05,
        ramp_epochs: float = 1.0,
        pair_dim: int = 512,
        pair_hidden_dim: int = 1024,
        pair_block: int = 1024,
        unknown_pairs_are_absent: bool = False,
    ) -> None:
        pairs = PairOptions(pair_weight, pair_dim, pair_hidden_dim, pair_block, unknown_pairs_are_absent)
        super().__init__(backbone, head, start_epoch, contrast_weight, ramp_epochs, pairs)
        self.memory = FeatureMemory(head.num_classes, memory_size, head.feature_dim)
        self.prototypes = Prototypes(head.num_classes, prototypes, head.feature_dim)
        # Offset of the thresholds from their initial values, in units of `pace`; weight decay moves it towards 0.
        self.moved = nn.Parameter(torch.zeros(2))
        self.start = intra_threshold, cross_threshold
        self.pace = pace
        self.sharpness = sharpness
        self.threshold_weight = threshold_weight
        self.prototype_weight = prototype_weight
        self.every = every

    @property
    def thresholds(self) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Return the thresholds of intra-image and cross-image scores."""
        intra, cross = (
            start + self.pace * moved for start, moved in zip(self.start, self.moved, strict=True)
        )
        return intra, cross

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce`, `cooccurrence`, `contrast`; from `start_epoch` on also the terms of `transfer`."""
        out = self.outputs(batch.inputs)
        assert out.features is not None
        pair_logits = self.every_pair(out)
        whole = self.whole_batch(out, batch.labels, progress)
        terms = self.known_terms(out, pair_logits, batch.labels, whole, progress)
        # Every parameter is used in every step, which distributed training requires.
        terms["bce"] = terms["bce"] + 0 * self.moved.sum()
        self.memory.add(whole.features, whole.labels)
        if not self.has_begun(progress):
            return Step(terms)
        self.prototypes.refresh(self.memory, progress.opens(self.every, self.start_epoch), whole.generator)
        more, found = self.transfer(out, pair_logits, batch.labels)
        return Step(terms | more, found)

    def transfer(
        self, out: ClassOutput, pair_logits: Float[Tensor, "batch pair"] | None, labels: Labels
    ) -> tuple[dict[str, Float[Tensor, ""]], dict[str, Targets]]:
        """Compute the terms of pseudo-labels, thresholds and prototypes, and the pseudo-labels."""
        assert out.features is not None
        known = Targets.known(labels)
        similarity = self.prototypes.similarity(out.features)
        others = pseudo_labels.other_present(labels)
        intra = pseudo_labels.as_if_unknown(self.intra_score(out.features, pair_logits, labels), labels)
        votes = {
            "intra": (intra, others > 0),
            "cross": (similarity.detach(), (self.prototypes.filled > 0).expand_as(labels)),
        }
        terms, found = {"prototype": self.prototype_weight * prototype_loss(similarity, labels)}, {}
        for (name, (score, said)), threshold in zip(votes.items(), self.thresholds, strict=True):
            found[name] = pseudo_labels.accept(score, labels, threshold.detach())
            terms[f"bce_{name}"] = self.bce(out.logits, known.fill(found[name]))
            terms[f"threshold_{name}"] = self.threshold_weight * self.threshold_loss(
                score, threshold, known, said
            )
        return terms, found

    def threshold_loss(
        self,
        score: Float[Tensor, "batch class"],
        threshold: Float[Tensor, ""],
        known: Targets,
        said: Bool[Tensor, "batch class"],
    ) -> Float[Tensor, ""]:
        """Compute BCE of `sharpness (score - threshold)` on known labels: present and absent balance at the threshold.

        Args:
            score: Scores of one kind of evidence; they get no gradient.
            threshold: The threshold, which gets one.
            known: Targets of the known labels.
            said: Labels with evidence.
        """
        return self.bce(
            self.sharpness * (score - threshold), Targets(known.value, known.weight * said.float())
        )
