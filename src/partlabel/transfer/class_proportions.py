"""Decisions by class proportions: as many labels become present as the estimated proportion of their class says.

The idea is that of class-distribution-aware pseudo-labels (CAP; Xie et al., NeurIPS 2023, arXiv:2305.02795): a cosine
or a probability of 0.9 means something else for each class and each recogniser; a rank does not.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels


class Cutoffs(NamedTuple):
    """Scores at which labels are decided, for each class.

    Attributes:
        present: Lowest score of labels that become present; infinity if none does.
        absent: Highest score of labels that become absent; minus infinity if none does.
    """

    present: Float[Tensor, " class"]
    absent: Float[Tensor, " class"]


def known_proportion(labels: Labels, positives: float | None = None) -> Float[Tensor, " class"]:
    """Estimate the proportion of images that show each class, from the known labels of a table.

    Args:
        labels: PRESENT, ABSENT or UNKNOWN; the known labels of a class are a random sample of it.
        positives: As in `proportion_of_counts`.
    """
    return proportion_of_counts((labels == PRESENT).sum(0), (labels != UNKNOWN).sum(0), positives)


def proportion_of_counts(
    present: Int64[Tensor, " class"], known: Int64[Tensor, " class"], positives: float | None = None
) -> Float[Tensor, " class"]:
    """Estimate the proportion of images that show each class, from numbers of known labels.

    Each class is smoothed by one extra label, which is present with the proportion over all classes.

    Args:
        present: Number of labels known to be present.
        known: Number of known labels.
        positives: Number of present classes per image, for known labels that are no fair sample: it is divided among
            the classes by `present`. None takes the share of known labels that are present.

    Raises:
        ValueError: No known label is absent, and `positives` is not given.
    """
    if positives is not None:
        return (positives * present / present.sum().clamp(min=1)).clamp(max=1).float()
    if known.any() and present.equal(known):
        raise ValueError(
            "no known label is absent, so that the proportion of images that show a class cannot be estimated: give "
            "the number of present classes per image (--method cap --method.positives 2.5), or take a method that "
            "needs no proportions, such as --method weak_negatives"
        )
    overall = present.sum() / known.sum().clamp(min=1)
    return ((present + overall) / (known + 1)).float()


@torch.no_grad()
def cutoffs(
    scores: Float[Tensor, "image class"],
    among: Bool[Tensor, "image class"],
    proportion: Float[Tensor, " class"],
    share_present: float = 1.0,
    share_absent: float = 1.0,
) -> Cutoffs:
    """Find the scores at which the most and the least confident labels of each class are decided.

    Of n labels of a class with proportion q, the `share_present q n` highest become present and the
    `share_absent (1 - q) n` lowest absent, both rounded. Equal scores are decided alike, so that it may be fewer.

    Args:
        scores: Scores of a whole training set; higher is more confident of a present label.
        among: Labels to decide.
        proportion: Proportion of present labels, in [0, 1].
        share_present: Share of the expected present labels that are decided, in [0, 1].
        share_absent: Share of the expected absent labels that are decided, in [0, 1].
    """
    number = among.sum(0)
    first = torch.round(share_present * proportion * number).long()
    last = torch.minimum(torch.round(share_absent * (1 - proportion) * number).long(), number - first)
    high = highest_left_out(scores, among, first)
    low = -highest_left_out(-scores, among, last)
    return Cutoffs(
        scores.masked_fill(~among | (scores <= high), torch.inf).amin(0),
        scores.masked_fill(~among | (scores >= low), -torch.inf).amax(0),
    )


def highest_left_out(
    scores: Float[Tensor, "image class"], among: Bool[Tensor, "image class"], number: Int64[Tensor, " class"]
) -> Float[Tensor, " class"]:
    """Return, for each class, the highest score that is not one of its `number` highest; minus infinity if all are."""
    ranked = scores.masked_fill(~among, -torch.inf).sort(dim=0, descending=True).values
    ranked = torch.cat([ranked, ranked.new_full((1, ranked.shape[1]), -torch.inf)])
    return ranked.gather(0, number[None]).squeeze(0)
