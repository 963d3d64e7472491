"""Curriculum labelling: training in rounds, with confident predictions of the previous round as labels."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._assuming import Assuming
from partlabel.methods._base import FullBatch
from partlabel.nn.heads import Head
from partlabel.transfer.label_store import ImageTable


class Curriculum(Assuming):
    """Curriculum labelling by a threshold on scores (Durand et al., CVPR 2019, arXiv:1902.09720).

    The run is divided into rounds of epochs. Scores of the last epoch of a round become the labels of the next;
    training continues from the current weights, and the scores are those computed in training. The paper predicts again
    after each round, and its best criterion is the uncertainty of a Bayesian network, not the score.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        rounds: Number of rounds of the run; the first learns from known labels alone.
        threshold: Logit above which an unknown label is taken as present, and below the negative of which as absent.
    """

    adds: ClassVar[str] = "in rounds, confident predictions of the last round as labels"
    needs: ClassVar[str] = "labels; keeps a number per label"

    def __init__(self, backbone: nn.Module, head: Head, rounds: int = 3, threshold: float = 2.0) -> None:
        super().__init__(backbone, head, PartialBCE())
        self.rounds = rounds
        self.threshold = threshold
        self.scores = ImageTable(head.num_classes, 0.0)

    def assumed(self, logits: Float[Tensor, "batch class"], batch: Batch, progress: Progress) -> Targets:
        """Take labels as present or absent where the previous round was confident."""
        score = self.scores.read(batch.index)
        if (
            progress.epoch + 1
        ) * self.rounds // progress.epochs > progress.epoch * self.rounds // progress.epochs:
            self.scores.write(*distributed.all_gather_rows(batch.index, logits))
        return self._believed(score)

    def fit_full_batch(self, problem: FullBatch) -> None:
        """Fit in rounds, each to convergence: known labels, then these and confident predictions of the last fit."""
        known = Targets.known(problem.labels)
        problem.fit(self.head, known)
        for _ in range(self.rounds - 1):
            with torch.no_grad():
                score = self.head.eval()(problem.maps).logits
            problem.fit(self.head, known.fill(self._believed(score)))

    def _believed(self, score: Float[Tensor, "batch class"]) -> Targets:
        return Targets((score > 0).float(), (score.abs() > self.threshold).float())

    def pseudo_labels(self, assumed: Targets) -> dict[str, Targets]:
        """Log all assumed labels."""
        return {"believed": assumed}
