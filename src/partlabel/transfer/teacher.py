"""The teacher: evidence sources fitted together, and their log-odds for unknown labels.

It is used twice: its soft labels train a recogniser that needs the image alone (`methods/evidence.py`), and it informs
the unknown labels of a table that is filled or reviewed, where the texts of the photos are at hand.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from partlabel.transfer import sources
from partlabel.transfer.combination import Combination, combine
from partlabel.transfer.sources import EvidenceSource, Observed

DEFAULT = (
    *("recogniser", "similar_images", "second_backbone", "second_similar_images", "co_occurrence"),
    *("text", "class_names", "similar_texts", "zero_shot"),
)
"""Sources that are tried; those without their inputs are left out."""
RECOGNISER = "recogniser"


def with_default(more: str) -> tuple[str, ...]:
    """Return the default sources, and those that a text names, separated by commas.

    Raises:
        ValueError: There is no such source; the message suggests the most similar name.
    """
    named = [name for part in more.split(",") if (name := part.strip())]
    for name in named:
        sources.get(name)
    return tuple(dict.fromkeys((*DEFAULT, *named)))


class Teacher(nn.Module):
    """Evidence sources and the weight of each.

    Images without text have a combination of their own, of the sources that need none.

    Args:
        parts: Evidence sources by name.

    Attributes:
        whole: Weights of all sources, for images with all inputs.
        plain: Weights of the sources that every image has inputs for.
    """

    def __init__(self, parts: dict[str, EvidenceSource]) -> None:
        super().__init__()
        self.parts = nn.ModuleDict(parts)
        self.whole: Combination | None = None
        self.plain: Combination | None = None

    @classmethod
    def of(cls, given: Observed, names: Sequence[str] = DEFAULT) -> "Teacher":
        """Create the sources whose inputs are given.

        Args:
            given: What is known of the images.
            names: Names of sources to try.
        """
        dims = {
            "classes": given.labels.shape[1],
            "text_dim": 0 if given.text is None else given.text.vectors.shape[1],
            "image_dim": 0 if given.image is None else given.image.shape[1],
            "second_dim": 0 if given.second is None else given.second.shape[1],
        }
        return cls.create([name for name in names if given.has(sources.get(name).needs)], dims)

    @classmethod
    def create(cls, names: Sequence[str], dims: Mapping[str, int]) -> "Teacher":
        """Create the sources of some names, for features of these sizes (`classes`, `text_dim`, ...)."""
        return cls({name: sources.get(name).create(dims) for name in names})

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each source for images with all inputs: log-odds per standard deviation of its score."""
        assert self.whole is not None
        return {name: float(weight) for name, weight in zip(self.parts, self.whole.weight, strict=True)}

    def fit(self, given: Observed, memo: dict[str, Any] | None = None) -> Float[Tensor, "image class"]:
        """Fit the sources and their weights; return the out-of-fold log-odds of the images.

        Args:
            given: What is known of the images.
            memo: Sources that were fitted to the same images, targets and folds, with other logits; those that do not
                need logits are taken from it, and left in it.
        """
        scores = torch.stack(
            [self._fit_part(name, given, {} if memo is None else memo) for name in self.parts]
        )
        available = torch.stack([part.available(given) for part in self._parts()])
        everywhere = available.all(1)
        rows = available.all(0)
        kept = [number for number, name in enumerate(self.parts) if name == RECOGNISER]
        targets = given.targets
        if not targets.weight.any():
            self.whole, self.plain = self._without_labels(scores, given, available)
            return self._log_odds(scores, given)
        self.plain = combine(scores * everywhere[:, None, None], targets, kept)
        self.whole = self.plain
        if not everywhere.all():
            self.whole = combine(scores[:, rows], given.rows(rows).targets, kept)
        return self._log_odds(scores, given)

    def _without_labels(
        self,
        scores: Float[Tensor, "source image class"],
        given: Observed,
        available: Bool[Tensor, "source image"],
    ) -> tuple[Combination, Combination]:
        """Return the combinations with and without the inputs of all sources where no label is known.

        The scores of the sources that need no label, less their means, are added to the logit of the recogniser;
        without a recogniser to the prior of the first of them.
        """
        priors = [part.prior(given) for part in self._parts()]
        usable = torch.tensor([prior is not None for prior in priors])
        if not usable.any():
            raise ValueError("no label is known, and there are no texts")
        seen = [rows if rows.any() else torch.ones_like(rows) for rows in available]
        centre = torch.stack([score[rows].mean(0) for score, rows in zip(scores, seen, strict=True)])
        offset = next(prior for prior in priors if prior is not None)
        if RECOGNISER in self.parts:
            number = list(self.parts).index(RECOGNISER)
            usable[number], offset = True, scores[number, available.all(0)].mean(0)
            centre[number] = offset
        whole = Combination(usable.float(), centre, torch.ones(len(scores)), offset)
        return whole, whole._replace(weight=(usable & available.all(1)).float())

    def forward(self, given: Observed) -> Float[Tensor, "image class"]:
        """Compute the log-odds of other images."""
        return self._log_odds(torch.stack([part(given) for part in self._parts()]), given)

    def shares(self, given: Observed) -> Float[Tensor, "source image class"]:
        """Compute what each source contributes to the log-odds of each label."""
        assert self.whole is not None
        return self.whole.shares(torch.stack([part(given) for part in self._parts()]))

    def _log_odds(
        self, scores: Float[Tensor, "source image class"], given: Observed
    ) -> Float[Tensor, "image class"]:
        assert self.whole is not None and self.plain is not None
        rows = torch.stack([part.available(given) for part in self._parts()]).all(0)
        return torch.where(rows[:, None], self.whole.log_odds(scores), self.plain.log_odds(scores))

    def _fit_part(self, name: str, given: Observed, memo: dict[str, Any]) -> Float[Tensor, "image class"]:
        """Fit a source, or take it from the memo; return its out-of-fold scores."""
        part = self.parts[name]
        assert isinstance(part, EvidenceSource)
        if "logits" in part.needs:
            return part.fit(given)
        if name not in memo:
            memo[name] = part, part.fit(given)
        self.parts[name], scores = memo[name]
        return scores

    def _parts(self) -> list[EvidenceSource]:
        return [part for part in self.parts.values() if isinstance(part, EvidenceSource)]
