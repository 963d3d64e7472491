"""Where pseudo-labels come from.

====================  =======================================================================  =====================
function              evidence that a label is present                                         used by
====================  =======================================================================  =====================
cooccurrence_score    the classes known to be present in the same image usually come with it   SST, HST (intra-image)
from_similarity       its feature resembles those of images known to show the class            SST (cross-image)
accept                any score: of HST the similarity to prototypes, of CALDNR to a memory    HST, CALDNR
from_evidence         the image resembles those known to show it more than those known not to  SoftSST (cross-image)
====================  =======================================================================  =====================

What comes of them are Targets that speak about UNKNOWN labels only: their weight is 0 wherever the label is known. The
scores that the evidence amounts to are functions of their own: `accept` takes those from a threshold on, and
`threshold_at` finds one that keeps a precision.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels, Targets
from partlabel.nn.pairs import pair_index
from partlabel.transfer.feature_bank import FeatureMemory

Threshold = float | Float[Tensor, ""] | Float[Tensor, " class"]


def cooccurrence_score(
    pair_probability: Float[Tensor, "batch pair"], labels: Labels
) -> Float[Tensor, "batch class"]:
    """Mean probability that a class comes with those known to be present (SST, intra-image transfer).

    `s_c = sum_{j present} P_cj / max(#present, 1)`. A known-present class is not its own evidence.
    """
    first, second = pair_index(labels.shape[1], labels.device)
    present = (labels == PRESENT).to(pair_probability)
    score = torch.zeros_like(present)
    score.index_add_(1, first, pair_probability * present[:, second])
    score.index_add_(1, second, pair_probability * present[:, first])
    return score / present.sum(1, keepdim=True).clamp(min=1)


def other_present(labels: Labels) -> Float[Tensor, "batch class"]:
    """How many classes besides each are known to be present in its image."""
    present = (labels == PRESENT).float()
    return present.sum(1, keepdim=True) - present


def as_if_unknown(score: Float[Tensor, "batch class"], labels: Labels) -> Float[Tensor, "batch class"]:
    """A `cooccurrence_score` as a mean over the *other* present classes: known labels scored as unknown ones are.

    The two differ for a class known to be present, of which the former divides by one too many.
    """
    present = (labels == PRESENT).sum(1, keepdim=True)
    return score * present.clamp(min=1) / other_present(labels).clamp(min=1)


def cooccurrence_with_others(
    pair_probability: Float[Tensor, "batch pair"], labels: Labels
) -> Float[Tensor, "batch class"]:
    """`as_if_unknown` of the `cooccurrence_score`."""
    return as_if_unknown(cooccurrence_score(pair_probability, labels), labels)


def cooccurrence_score_by_rows(
    probability: Float[Tensor, "batch row class"], rows: Int64[Tensor, " row"], labels: Labels
) -> Float[Tensor, "batch class"]:
    """`cooccurrence_score` from the pairs of some classes with every class.

    Args:
        probability: Of those pairs; what stands for a class and itself is not looked at.
        rows: The classes, which must hold all that are known to be present in the batch.
        labels: PRESENT, ABSENT or UNKNOWN.
    """
    present = (labels == PRESENT).to(probability)
    itself = rows[:, None] == torch.arange(labels.shape[1], device=rows.device)
    votes = torch.einsum("brc,br->bc", probability.masked_fill(itself, 0.0), present[:, rows])
    return votes / present.sum(1, keepdim=True).clamp(min=1)


@torch.no_grad()
def from_similarity(
    features: Float[Tensor, "batch class feature"],
    memory: FeatureMemory,
    labels: Labels,
    threshold: Threshold,
    count_empty_slots: bool = False,
) -> Targets:
    """Call a label present when its feature resembles the remembered ones (SST, cross-image transfer)."""
    return accept(memory.similarity(features, count_empty_slots), labels, threshold)


@torch.no_grad()
def from_confidence(logits: Float[Tensor, "batch class"], labels: Labels, threshold: float) -> Targets:
    """Call an unknown label what the recogniser is sure of: `1[p >= t] - 1[1 - p >= t]`, where 0 says nothing (SR).

    Args:
        logits: Of the recogniser.
        labels: PRESENT, ABSENT or UNKNOWN.
        threshold: The t.
    """
    p = logits.float().sigmoid()
    present, absent = p >= threshold, 1 - p >= threshold
    return Targets(present.float(), ((present != absent) & (labels == UNKNOWN)).float())


@torch.no_grad()
def from_evidence(
    logits: Float[Tensor, "batch class"], evidence: Float[Tensor, "batch class"], labels: Labels
) -> Targets:
    """Call a label as likely present as the recogniser and the evidence together make it: soft, and both ways.

    Args:
        logits: Of the recogniser.
        evidence: Calibrated, in the same unit: what it adds to the log-odds.
        labels: PRESENT, ABSENT or UNKNOWN.
    """
    return Targets((logits + evidence).float().sigmoid(), (labels == UNKNOWN).float())


@torch.no_grad()
def threshold_at(
    score: Float[Tensor, "image class"], labels: Labels, precision: float, fewest: int = 20
) -> Float[Tensor, ""]:
    """The lowest score from which on known labels are present with this precision.

    Args:
        score: What a kind of vote says of labels it did not use.
        labels: What is known of them; all classes together, for most have too few known labels each.
        precision: Share of the labels from the threshold on that are present.
        fewest: Labels that have to be above it, for a share to mean anything.

    Returns:
        Infinity where no threshold will do.
    """
    known = labels != UNKNOWN
    score, order = score[known].sort(descending=True)
    count = torch.arange(1, len(score) + 1, device=score.device)
    share = (labels[known][order] == PRESENT).cumsum(0) / count
    last_of_equals = torch.cat([score[1:] < score[:-1], score.new_ones(1, dtype=torch.bool)])[: len(score)]
    good = (share >= precision) & (count >= fewest) & last_of_equals
    return score[good].min() if good.any() else score.new_tensor(float("inf"))


def accept(score: Float[Tensor, "batch class"], labels: Labels, threshold: Threshold) -> Targets:
    """Call the unknown labels present whose score reaches the threshold."""
    return Targets.present((score >= threshold) & (labels == UNKNOWN))
