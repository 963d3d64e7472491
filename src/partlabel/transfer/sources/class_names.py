"""Source `class_names`: the names of the classes in the texts; needs no label at all.

A text that names a class nearly always shows it, but most texts leave out most of what an image shows. So texts that
do not name a class are compared with those that do: a regularised logistic regression on the text embedding predicts
whether the name occurs ("a pitcher throws a ball" resembles texts that say "person"). Its out-of-fold logit, plus
`CERTAIN` where the name does occur, is the score. A class that no text names is scored by the similarity of text and
name.
"""

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from partlabel.core.targets import Targets
from partlabel.core.types import TextFeatures
from partlabel.transfer.sources._base import EvidenceSource, Observed
from partlabel.transfer.sources._text_classifier import TextClassifier

CERTAIN = 3.0
"""Log-odds that a mention adds, in standard deviations of the logits (docs/log.md)."""
PENALTY = 0.01
"""Penalty of the regression per image. A weaker one predicts wording better, and labels worse (docs/log.md)."""
FOLDS = 20
"""Folds of the regression. It sees no label, so that its folds are its own; more of them leave less to chance."""


class ClassNames(EvidenceSource):
    """Mentions of class names, and texts that resemble those with a mention.

    Args:
        classes: Number of classes.
        text_dim: Length of a text embedding.
    """

    needs: ClassVar[tuple[str, ...]] = ("text",)
    named: Bool[Tensor, " class"]
    centre: Float[Tensor, " class"]
    spread: Float[Tensor, " class"]

    def __init__(self, classes: int, text_dim: int) -> None:
        super().__init__()
        self.linear = TextClassifier(text_dim, classes)
        self.register_buffer("named", torch.zeros(classes, dtype=torch.bool))
        self.register_buffer("centre", torch.zeros(classes))
        self.register_buffer("spread", torch.ones(classes))

    def fit(self, given: Observed) -> Float[Tensor, "image class"]:
        """Fit to the mentions of all images that have a text."""
        text = given.text
        assert text is not None
        self.named.copy_(text.mentions.any(0))
        weight = text.available[:, None].expand_as(text.mentions).float()
        fold = torch.arange(len(weight)) % FOLDS
        logits = self.linear.fit(text.vectors, Targets(text.mentions, weight), fold, (PENALTY,))
        logits = torch.where(self.named, logits, text.similarity)
        seen = logits[text.available] if text.available.any() else logits
        self.centre.copy_(seen.mean(0))
        self.spread.copy_(seen.std(0, unbiased=False).clamp(min=1e-6))
        return self._score(logits, text)

    def forward(self, given: Observed) -> Float[Tensor, "image class"]:
        """Compute the score of each class name."""
        text = given.text
        assert text is not None
        return self._score(torch.where(self.named, self.linear(text.vectors), text.similarity), text)

    def prior(self, given: Observed) -> Float[Tensor, " class"]:
        """Compute the log-odds of a mention of each class."""
        text = given.text
        assert text is not None
        return ((text.mentions[text.available].sum(0) + 0.5) / (text.available.sum() + 1)).logit()

    def _score(
        self, logits: Float[Tensor, "image class"], text: TextFeatures
    ) -> Float[Tensor, "image class"]:
        return (logits - self.centre) / self.spread + CERTAIN * text.mentions
