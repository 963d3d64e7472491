"""From which score on an unknown label becomes present: on a schedule, at a precision, or by class proportions.

A method holds one of these objects for each kind of score and does not know which; all their state is in buffers, but
for scores of the current validation.
"""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.collected_rows import CollectedRows
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels
from partlabel.core.types import Batch, Progress
from partlabel.transfer.class_proportions import Cutoffs, cutoffs, proportion_of_counts
from partlabel.transfer.label_store import ImageTable
from partlabel.transfer.pseudo_labels import Threshold, lowered, threshold_at

NO_SCORE = -torch.inf
"""Stored score of labels that are not to be decided."""


class ThresholdRule(nn.Module, ABC):
    """Rule that sets the threshold of one kind of score."""

    @abstractmethod
    def at(self, progress: Progress) -> Threshold:
        """Return the threshold, of all classes or of each."""

    def see(
        self,
        score: Float[Tensor, "batch class"],
        said: Bool[Tensor, "batch class"],
        batch: Batch,
        progress: Progress,
    ) -> None:
        """Take note of the scores of a training batch; `said` marks labels that the score says something about."""

    def see_validation(
        self, score: Float[Tensor, "batch class"], said: Bool[Tensor, "batch class"], labels: Labels
    ) -> None:
        """Take note of the scores of validation images."""

    def end_validation(self) -> None:
        """Called after the last validation image."""


class Falling(ThresholdRule):
    """A threshold that falls epoch by epoch, as in the papers.

    Args:
        start: Threshold in the first epoch with pseudo-labels.
        fall: Decrease per epoch.
        floor: Minimum.
        start_epoch: That first epoch.
    """

    def __init__(self, start: float, fall: float, floor: float, start_epoch: int) -> None:
        super().__init__()
        self.start, self.fall, self.floor, self.start_epoch = start, fall, floor, start_epoch

    def at(self, progress: Progress) -> float:
        """Return the threshold of the epoch."""
        return lowered(self.start, self.fall * (progress.epoch - self.start_epoch), self.floor)


class AtPrecision(ThresholdRule):
    """A threshold at which known validation labels reach a precision; infinity before the first validation.

    Args:
        precision: Share of present labels from the threshold on.
    """

    value: Float[Tensor, ""]

    def __init__(self, precision: float) -> None:
        super().__init__()
        self.precision = precision
        self.register_buffer("value", torch.tensor(torch.inf))
        self._scores = CollectedRows()

    def at(self, progress: Progress) -> Float[Tensor, ""]:
        """Return the threshold found in the last validation."""
        return self.value

    def see_validation(
        self, score: Float[Tensor, "batch class"], said: Bool[Tensor, "batch class"], labels: Labels
    ) -> None:
        """Collect the scores."""
        self._scores.add(score.float(), labels.where(said, UNKNOWN))

    def end_validation(self) -> None:
        """Find the threshold."""
        score, labels = self._scores.take()
        self.value.copy_(threshold_at(score, labels, self.precision))


class ByProportion(ThresholdRule):
    """Thresholds of each class that decide as many unknown labels as its estimated proportion says (CAP).

    They are those of the scores of the last epoch, for a batch shows a part of the training set alone. In the first
    epoch nothing is decided.

    Args:
        num_classes: Number of classes.
        share_present: Share of the expected present labels that are decided, in [0, 1].
        share_absent: Share of the expected absent labels that are decided, in [0, 1].
        positives: Number of present classes per image; None estimates the proportions from the known labels.

    Raises:
        ValueError: A share is outside [0, 1].
    """

    present: Int64[Tensor, " class"]
    known: Int64[Tensor, " class"]
    lowest_present: Float[Tensor, " class"]
    highest_absent: Float[Tensor, " class"]

    def __init__(
        self,
        num_classes: int,
        share_present: float = 1.0,
        share_absent: float = 1.0,
        positives: float | None = None,
    ) -> None:
        super().__init__()
        for share in (share_present, share_absent):
            if not 0 <= share <= 1:
                raise ValueError(
                    f"{share} is no share of the labels that are expected; it has to be from 0 to 1"
                )
        self.share_present, self.share_absent, self.positives = share_present, share_absent, positives
        self.scores = ImageTable(num_classes, NO_SCORE)
        for name in ("present", "known"):
            self.register_buffer(name, torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("lowest_present", torch.full((num_classes,), torch.inf))
        self.register_buffer("highest_absent", torch.full((num_classes,), -torch.inf))

    def at(self, progress: Progress) -> Float[Tensor, " class"]:
        """Return the lowest score of labels that become present."""
        return self.lowest_present

    def cutoffs(self) -> Cutoffs:
        """Return the scores at which labels become present and absent."""
        return Cutoffs(self.lowest_present, self.highest_absent)

    @torch.no_grad()
    def see(
        self,
        score: Float[Tensor, "batch class"],
        said: Bool[Tensor, "batch class"],
        batch: Batch,
        progress: Progress,
    ) -> None:
        """Store the scores of unknown labels and count known ones; the last batch of an epoch sets the thresholds."""
        labels = batch.labels.where(said, UNKNOWN)
        self.present += distributed.all_reduce_sum((labels == PRESENT).sum(0))
        self.known += distributed.all_reduce_sum((labels != UNKNOWN).sum(0))
        unknown = (batch.labels == UNKNOWN) & said
        seen = score.detach().float().masked_fill(~unknown, NO_SCORE)
        self.scores.write(*distributed.all_gather_rows(batch.index, seen))
        if progress.batch + 1 == progress.batches:
            self._set()

    def _set(self) -> None:
        proportion = proportion_of_counts(self.present, self.known, self.positives)
        scores = self.scores.cells
        found = cutoffs(scores, scores != NO_SCORE, proportion, self.share_present, self.share_absent)
        self.lowest_present.copy_(found.present)
        self.highest_absent.copy_(found.absent)
        self.present.zero_()
        self.known.zero_()


def chosen(
    falling: Falling, num_classes: int, precision: float | None, proportion: float | None
) -> ThresholdRule:
    """Return the rule that was asked for.

    Args:
        falling: Rule if neither of the others is given.
        num_classes: Number of classes.
        precision: Precision of `AtPrecision`.
        proportion: Share of the expected present labels in `ByProportion`.

    Raises:
        ValueError: Both are given.
    """
    if precision is not None and proportion is not None:
        raise ValueError("precision and proportion both set the thresholds: leave one of them out")
    if precision is not None:
        return AtPrecision(precision)
    if proportion is not None:
        return ByProportion(num_classes, proportion, share_absent=0.0)
    return falling
