"""Evidence about labels as a calibrated addition to the logits of a head, whatever the evidence comes from.

`logit = head + worth * scale_c * evidence_c`: the evidence is centred, divided by its standard deviation and clipped,
in units of the standard deviation of the head's logit. Its weight (*worth*), in log-odds, is the one that best explains
labels whose logits and evidence come from models that were not trained on them (out-of-fold), without a threshold; it
is 0 where the evidence does not improve their ranking by more than chance. A common slope and an offset per class
calibrate the sum.
"""

from statistics import mean, stdev
from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.collected_rows import CollectedRows
from partlabel.core.labels import PRESENT
from partlabel.core.targets import Labels, Targets
from partlabel.evaluation.calibration import calibrate
from partlabel.evaluation.metrics import average_precision
from partlabel.nn.cross_fitting import aligned_folds
from partlabel.transfer import pseudo_labels

WORTHS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
"""Candidate weights of the evidence: its standard deviation over images, in standard deviations of the head's logit."""
LIMIT = 4.0
"""Standard deviations at which evidence is clipped: without a neighbour of one kind its logarithm is unbounded."""
MOST_CELLS = 2**21
"""Maximum number of cells of an epoch that the weight is estimated from: more take minutes and gigabytes."""
FEWEST = 5
"""Minimum number of known present labels of a class for its AP to take part in a decision."""


class CalibratedEvidence(nn.Module):
    """Base class of modules that add evidence to logits: its units, its weight and the calibration of the sum.

    The constructor of a subclass calls `register_evidence`. All of it is in buffers of the subclass itself.
    """

    centre: Float[Tensor, " class"]
    spread: Float[Tensor, " class"]
    scale: Float[Tensor, " class"]
    anchor: Float[Tensor, " class"]
    worth: Float[Tensor, ""]
    slope: Float[Tensor, ""]
    offset: Float[Tensor, " class"]
    taught_slope: Float[Tensor, ""]
    taught_offset: Float[Tensor, " class"]

    PREDICTING: ClassVar[tuple[str, ...]] = (
        "worth",
        "centre",
        "spread",
        "scale",
        "anchor",
        "slope",
        "offset",
    )
    """Names of the buffers that prediction needs; the others calibrate pseudo-labels."""

    def register_evidence(self, num_classes: int) -> None:
        """Create the buffers; the weight of the evidence starts at 0."""
        for name in ("centre", "spread", "scale", "anchor", "offset", "taught_offset"):
            self.register_buffer(name, torch.full((num_classes,), float(name == "spread")))
        for name, start in (("worth", 0.0), ("slope", 1.0), ("taught_slope", 1.0)):
            self.register_buffer(name, torch.tensor(start))

    def in_logits(self, evidence: Float[Tensor, "batch class"]) -> Float[Tensor, "batch class"]:
        """Convert evidence to what it adds to the logits of the head."""
        units = ((evidence - self.centre) / self.spread).clamp(-LIMIT, LIMIT)
        return self.worth * (self.scale * units)

    def calibrated(self, logits: Float[Tensor, "batch class"]) -> Float[Tensor, "batch class"]:
        """Calibrate logits that contain the evidence."""
        return self.anchor + self.offset + self.slope * (logits - self.anchor)

    def soft_labels(
        self, logits: Float[Tensor, "batch class"], evidence: Float[Tensor, "batch class"], labels: Labels
    ) -> Targets:
        """Compute soft pseudo-labels of the unknown labels.

        Args:
            logits: Logits of models that did not see the labels.
            evidence: Evidence, before `in_logits`.
            labels: PRESENT, ABSENT or UNKNOWN.
        """
        odds = self.anchor + self.taught_offset + self.taught_slope * (logits - self.anchor)
        return pseudo_labels.from_evidence(odds, self.taught_slope * self.in_logits(evidence), labels)

    def weigh(
        self, logits: Float[Tensor, "image class"], evidence: Float[Tensor, "image class"], labels: Labels
    ) -> None:
        """Find units and weight of the evidence, and the calibration, from out-of-fold predictions.

        Args:
            logits: Logits of models that did not see the labels.
            evidence: Evidence that did not see them either, before `in_logits`.
            labels: PRESENT, ABSENT or UNKNOWN.
        """
        low, middle, high = evidence.sort(0).values[
            [int(share * (len(labels) - 1)) for share in (0.16, 0.5, 0.84)]
        ]
        self.centre.copy_(middle)
        self.spread.copy_(((high - low) / 2).clamp(min=1e-6))
        self.scale.copy_(logits.std(0, unbiased=False))
        self.anchor.copy_(logits.mean(0))
        self.worth.fill_(1.0)
        vote = self.in_logits(evidence)
        fits = [calibrate(logits + worth * vote, self.anchor, labels) for worth in WORTHS]
        best = min(range(len(WORTHS)), key=lambda number: fits[number].cost)
        if not ranks_better(logits + WORTHS[best] * vote, logits, labels):
            best = 0
        self.worth.fill_(WORTHS[best])
        for slope, offset in ((self.taught_slope, self.taught_offset), (self.slope, self.offset)):
            slope.copy_(fits[best].slope)
            offset.copy_(fits[best].offset)

    def fit_calibration(self, logits: Float[Tensor, "image class"], labels: Labels) -> None:
        """Fit the slope and the offsets that calibrate logits that contain the evidence."""
        fit = calibrate(logits, self.anchor, labels)
        self.slope.copy_(fit.slope)
        self.offset.copy_(fit.offset)


class OutOfFoldScores:
    """Out-of-fold logits and evidence of the images of an epoch, from copies of a head that each lack one fold."""

    def __init__(self) -> None:
        self._rows = CollectedRows()
        self._sums: list[Float[Tensor, "fold class"]] = []

    def add(
        self,
        copies: Float[Tensor, "fold batch class"],
        evidence: Float[Tensor, "batch class"],
        labels: Labels,
        fold: Int64[Tensor, " batch"],
    ) -> None:
        """Collect a batch, unless there are `MOST_CELLS` already.

        Args:
            copies: Logits of all copies.
            evidence: Evidence of the images.
            labels: PRESENT, ABSENT or UNKNOWN.
            fold: Number of the copy that each image is unknown to.
        """
        if len(self._rows) * labels.shape[1] < MOST_CELLS:
            own = copies[fold, torch.arange(len(fold), device=fold.device)]
            self._rows.add(own, evidence, labels, fold)
            self._sums.append(copies.sum(1))

    def take(self) -> tuple[Float[Tensor, "image class"], Float[Tensor, "image class"], Labels]:
        """Return logits with aligned means (`aligned_folds`), evidence and labels of all images, and forget them."""
        own, evidence, labels, fold = self._rows.take()
        level = distributed.all_reduce_sum(torch.stack(self._sums).sum(0)) / len(fold)
        self._sums.clear()
        return aligned_folds(own, level, fold), evidence, labels


def ranks_better(
    ours: Float[Tensor, "image class"], theirs: Float[Tensor, "image class"], labels: Labels
) -> bool:
    """Test whether the mean AP over the classes is higher by more than its standard error.

    Cross-entropy is dominated by the common classes, mean AP weighs the rare ones equally.
    """
    known = labels.cpu().numpy()
    gains = [
        average_precision(ours[:, c].cpu().numpy(), known[:, c])
        - average_precision(theirs[:, c].cpu().numpy(), known[:, c])
        for c in range(labels.shape[1])
        if (known[:, c] == PRESENT).sum() >= FEWEST
    ]
    return len(gains) > 1 and mean(gains) > stdev(gains) / len(gains) ** 0.5
