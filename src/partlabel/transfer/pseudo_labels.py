"""Where pseudo-labels come from.

====================  =======================================================================  =====================
function              evidence that a label is present                                         used by
====================  =======================================================================  =====================
cooccurrence_score    the classes known to be present in the image often occur together with   SST, HST (intra-image)
                      the class
accept                any score: similarity to features of images known to show the class      SST (cross-image)
                      (`FeatureMemory`), to prototypes (HST) or to a memory (CALDNR)           HST, CALDNR
from_evidence         the image resembles those known to show the class more than those that   SoftSST (cross-image)
                      lack it
by_proportion         any score among the highest of its class, as many as its proportion      CAP, SST (by choice)
                      says
====================  =======================================================================  =====================

Each returns Targets for UNKNOWN labels only: their weight is 0 wherever the label is known. The scores behind them are
functions of their own: `accept` takes scores from a threshold on, and `threshold_at` finds a threshold for a precision.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels, Targets
from partlabel.nn.pairs import pair_index
from partlabel.transfer.class_proportions import Cutoffs, cutoffs

Threshold = float | Float[Tensor, ""] | Float[Tensor, " class"]


def cooccurrence_score(
    pair_probability: Float[Tensor, "batch pair"], labels: Labels
) -> Float[Tensor, "batch class"]:
    """Average the probability that a class occurs with those known to be present (SST, intra-image transfer).

    `s_c = sum_{j present} P_cj / max(#present, 1)`. A class that is known to be present is not its own evidence.
    """
    first, second = pair_index(labels.shape[1], labels.device)
    present = (labels == PRESENT).to(pair_probability)
    score = torch.zeros_like(present)
    score.index_add_(1, first, pair_probability * present[:, second])
    score.index_add_(1, second, pair_probability * present[:, first])
    return score / present.sum(1, keepdim=True).clamp(min=1)


def other_present(labels: Labels) -> Float[Tensor, "batch class"]:
    """Count, for every class, the other classes known to be present in its image."""
    present = (labels == PRESENT).float()
    return present.sum(1, keepdim=True) - present


def as_if_unknown(score: Float[Tensor, "batch class"], labels: Labels) -> Float[Tensor, "batch class"]:
    """Turn a `cooccurrence_score` into the mean over the *other* present classes, as unknown labels are scored.

    The two differ for a class known to be present, where the former divides by one too many.
    """
    present = (labels == PRESENT).sum(1, keepdim=True)
    return score * present.clamp(min=1) / other_present(labels).clamp(min=1)


def cooccurrence_score_by_rows(
    probability: Float[Tensor, "batch row class"], rows: Int64[Tensor, " row"], labels: Labels
) -> Float[Tensor, "batch class"]:
    """Compute `cooccurrence_score` from the pairs of some classes with every class.

    Args:
        probability: Co-occurrence probabilities of those pairs; entries of a class with itself are ignored.
        rows: The first classes of the pairs; all classes known to be present in the batch must be among them.
        labels: PRESENT, ABSENT or UNKNOWN.
    """
    present = (labels == PRESENT).to(probability)
    itself = rows[:, None] == torch.arange(labels.shape[1], device=rows.device)
    votes = torch.einsum("brc,br->bc", probability.masked_fill(itself, 0.0), present[:, rows])
    return votes / present.sum(1, keepdim=True).clamp(min=1)


@torch.no_grad()
def from_confidence(logits: Float[Tensor, "batch class"], labels: Labels, threshold: float) -> Targets:
    """Set an unknown label by a confident prediction: `1[p >= t] - 1[1 - p >= t]`, where 0 leaves it unknown (SR).

    Args:
        logits: Logits of the recogniser.
        labels: PRESENT, ABSENT or UNKNOWN.
        threshold: The probability t.
    """
    p = logits.float().sigmoid()
    present, absent = p >= threshold, 1 - p >= threshold
    return Targets(present.float(), ((present != absent) & (labels == UNKNOWN)).float())


@torch.no_grad()
def from_evidence(
    logits: Float[Tensor, "batch class"], evidence: Float[Tensor, "batch class"], labels: Labels
) -> Targets:
    """Set an unknown label to the probability that recogniser and evidence give together.

    Args:
        logits: Logits of the recogniser.
        evidence: Calibrated evidence in log-odds, added to the logits.
        labels: PRESENT, ABSENT or UNKNOWN.
    """
    return Targets((logits + evidence).float().sigmoid(), (labels == UNKNOWN).float())


@torch.no_grad()
def threshold_at(
    score: Float[Tensor, "image class"], labels: Labels, precision: float, fewest: int = 20
) -> Float[Tensor, ""]:
    """Find the lowest score from which on known labels are present with a given precision.

    Args:
        score: Scores of labels that were not used to compute them.
        labels: Known labels, of all classes together, because most classes have too few.
        precision: Share of present labels from the threshold on.
        fewest: Minimum number of labels above the threshold.

    Returns:
        The threshold; infinity where none reaches the precision.
    """
    known = labels != UNKNOWN
    score, order = score[known].sort(descending=True)
    count = torch.arange(1, len(score) + 1, device=score.device)
    share = (labels[known][order] == PRESENT).cumsum(0) / count
    last_of_equals = torch.cat([score[1:] < score[:-1], score.new_ones(1, dtype=torch.bool)])[: len(score)]
    good = (share >= precision) & (count >= fewest) & last_of_equals
    return score[good].min() if good.any() else score.new_tensor(float("inf"))


@torch.no_grad()
def by_proportion(
    scores: Float[Tensor, "image class"],
    labels: Labels,
    proportion: Float[Tensor, " class"],
    share_present: float = 1.0,
    share_absent: float = 1.0,
) -> Targets:
    """Set the most confident unknown labels of each class present and the least confident ones absent (CAP).

    Their numbers follow from the proportion of the class, not from a threshold. Scores are of the whole training set;
    where they come batch by batch, `thresholds.ByProportion` decides by those of the last epoch.

    Args:
        scores: Scores of all labels; higher is more confident of a present label.
        labels: PRESENT, ABSENT or UNKNOWN.
        proportion: Proportion of images that show each class, such as `class_proportions.known_proportion`.
        share_present: Share of the expected present labels that are decided, in [0, 1].
        share_absent: Share of the expected absent labels that are decided, in [0, 1].
    """
    unknown = labels == UNKNOWN
    return decide(scores, labels, cutoffs(scores, unknown, proportion, share_present, share_absent))


@torch.no_grad()
def decide(score: Float[Tensor, "batch class"], labels: Labels, at: Cutoffs) -> Targets:
    """Set unknown labels present from one score of their class on, absent up to another."""
    present, absent = score >= at.present, score <= at.absent
    return Targets(present.float(), ((present | absent) & (labels == UNKNOWN)).float())


def accept(score: Float[Tensor, "batch class"], labels: Labels, threshold: Threshold) -> Targets:
    """Set unknown labels present where the score reaches the threshold."""
    return Targets.present((score >= threshold) & (labels == UNKNOWN))


def lowered(threshold: float, fall: float, floor: float) -> float:
    """Lower a threshold, but not below a floor."""
    return max(threshold - fall, floor)
