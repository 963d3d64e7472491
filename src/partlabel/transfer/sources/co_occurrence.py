"""Source `co_occurrence`: the known labels of an image inform its other ones (SST's transfer within an image).

Each known label of another class votes by its log-likelihood ratio, as in naive Bayes: a known "dress" is evidence
against "trousers", and so is a known absence of what they are worn with:

    score_c = sum over known j != c of log P(y_j | c present) - log P(y_j | c absent)

The probabilities are shares of images where both labels are known. Labels of one image are not independent, which
counts some evidence twice; the weight of the source, which is estimated with the others, makes up for that
(`transfer/combination.py`). An image without another known label has the score 0.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from partlabel.core.labels import ABSENT, PRESENT
from partlabel.core.targets import Labels
from partlabel.transfer.sources._base import EvidenceSource, Observed

PRIOR = 3.0
"""Images that are added to those of each pair of classes, with the share of present labels of all images."""
MOST_CLASSES = 4_000
"""Maximum number of classes; above it a vote for each pair takes too much memory, and all scores are 0."""


class CoOccurrence(EvidenceSource):
    """Votes of the known labels of other classes in the same image.

    Args:
        classes: Number of classes.
    """

    needs: ClassVar[tuple[str, ...]] = ("labels",)
    votes: Float[Tensor, "2 voter voted"]
    """Change of the log-odds of a class by each class that is known to be present, and to be absent."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        few = classes if classes <= MOST_CLASSES else 0
        self.register_buffer("votes", torch.zeros(2, few, few))

    def fit(self, given: Observed) -> Float[Tensor, "image class"]:
        """Count pairs of labels; the votes for the images of a fold are those of the others."""
        known = _known(given.labels)
        scores = torch.zeros(known.shape[1:])
        if not self.votes.numel():
            return scores
        total = _pairs(known)
        for number in given.fold.unique():
            inside = given.fold == number
            part = known[:, inside]
            scores[inside] = _score(part, _votes(total - _pairs(part)))
        self.votes.copy_(_votes(total))
        return scores

    def forward(self, given: Observed) -> Float[Tensor, "image class"]:
        """Add up the votes of the known labels of each image."""
        known = _known(given.labels)
        return _score(known, self.votes) if self.votes.numel() else torch.zeros(known.shape[1:])


def _known(labels: Labels) -> Float[Tensor, "2 image class"]:
    """Return which labels are known to be present, and to be absent."""
    return torch.stack([labels == PRESENT, labels == ABSENT]).float()


def _pairs(known: Float[Tensor, "2 image class"]) -> Float[Tensor, "2 2 class class"]:
    """Count images by the known labels of two classes, that of the first class in the first place."""
    return torch.einsum("aic,bij->abcj", known, known)


def _votes(pairs: Float[Tensor, "2 2 class class"]) -> Float[Tensor, "2 voter voted"]:
    """Compute the log-likelihood ratios of the labels of all other classes."""
    present, absent = pairs[0, 0].diagonal(), pairs[1, 1].diagonal()
    share = (present + 0.5) / (present + absent + 1)
    probability = (pairs[:, 0] + PRIOR * share) / (pairs.sum(1) + PRIOR)  # of j, by the label of c
    ratios = torch.stack([probability, 1 - probability]).log()
    votes = (ratios[:, 0] - ratios[:, 1]).transpose(1, 2).contiguous()
    votes.diagonal(dim1=1, dim2=2).zero_()
    return votes


def _score(
    known: Float[Tensor, "2 image class"], votes: Float[Tensor, "2 voter voted"]
) -> Float[Tensor, "image class"]:
    return torch.einsum("aij,ajc->ic", known, votes)
