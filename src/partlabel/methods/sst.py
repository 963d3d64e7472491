"""SST: known labels inform unknown ones, inside an image and across images.

Chen et al., "Structured Semantic Transfer for Multi-Label Recognition with Partial Labels", AAAI 2022,
arXiv:2112.10941. The pseudo-labels come from `transfer/pseudo_labels.py`. Gaps and errors of the paper and its code,
and how they are handled: `docs/methods/sst.md`.
"""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Batch, Progress
from partlabel.methods._base import Step
from partlabel.methods._pair_transfer import PairOptions, PairTransfer
from partlabel.nn.heads import Head
from partlabel.transfer import pseudo_labels
from partlabel.transfer.feature_bank import FeatureMemory
from partlabel.transfer.thresholds import Falling, ThresholdRule, chosen


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
        proportion: Share of the present labels that the class proportions among known labels make expected, in (0, 1]:
            as many unknown labels of each class, the highest, become present, in place of the schedule (CAP).
    """

    adds: ClassVar[str] = "pseudo-labels from co-occurrence within and similarity across images"

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
        proportion: float | None = None,
    ) -> None:
        pairs = PairOptions(
            pair_weight, pair_dim, pair_hidden_dim, pair_block, unknown_pairs_are_absent, pair_rank
        )
        super().__init__(backbone, head, start_epoch, contrast_weight, ramp_epochs, pairs)
        self.memory = FeatureMemory(head.num_classes, memory_size, head.feature_dim)
        starts = ({"intra": intra_threshold} if intra else {}) | ({"cross": cross_threshold} if cross else {})
        self.thresholds = nn.ModuleDict(
            {
                name: chosen(
                    Falling(begin, threshold_step, threshold_floor, start_epoch),
                    head.num_classes,
                    precision,
                    proportion,
                )
                for name, begin in starts.items()
            }
        )
        self.count_empty_slots = count_empty_slots
        self.known_in_each_term = known_in_each_term
        self.validates = precision is not None

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
        if progress.epoch + 1 < self.start_epoch:
            return {}
        found = {}
        for name, (score, said) in self.scores(features, pair_logits, batch.labels).items():
            rule = self.rule(name)
            if self.has_begun(progress):
                found[name] = pseudo_labels.accept(score, batch.labels, rule.at(progress))
            rule.see(score, said, batch, progress)
        return found

    def rule(self, name: str) -> ThresholdRule:
        """Return the rule that sets the threshold of the scores `intra` or `cross`."""
        rule = self.thresholds[name]
        assert isinstance(rule, ThresholdRule)
        return rule

    @torch.no_grad()
    def scores(
        self,
        features: Float[Tensor, "batch class feature"],
        pair_logits: Float[Tensor, "batch pair"] | None,
        labels: Labels,
    ) -> dict[str, tuple[Float[Tensor, "batch class"], Bool[Tensor, "batch class"]]]:
        """Compute the scores `intra` and `cross`, and which labels each says something about.

        Co-occurrence says something beside another class that is known to be present, similarity about classes with
        stored features.
        """
        found = {}
        if "intra" in self.thresholds:
            score = self.intra_score(features, pair_logits, labels)
            found["intra"] = score, pseudo_labels.other_present(labels) > 0
        if "cross" in self.thresholds:
            similarity = self.memory.similarity(features, self.count_empty_slots)
            found["cross"] = similarity, (self.memory.filled > 0).expand_as(labels)
        return found

    def validate(self, batch: Batch) -> Float[Tensor, "batch class"]:
        """Compute logits; where thresholds are calibrated, the scores of known labels are collected."""
        out = self.outputs(batch.inputs)
        if self.validates:
            assert out.features is not None
            for name, (score, said) in self.scores(out.features, self.every_pair(out), batch.labels).items():
                judged = pseudo_labels.as_if_unknown(score, batch.labels) if name == "intra" else score
                self.rule(name).see_validation(judged, said, batch.labels)
        return out.logits

    def end_validation(self) -> None:
        """Find the thresholds that reach the requested precision."""
        for name in self.thresholds:
            self.rule(name).end_validation()
