"""Base class of evidence sources, and what they are given.

A source returns log-odds for every label from what is known at the moment of use: in training, when a table is filled,
or when photos are reviewed. It declares its inputs in `needs`, and is left out where they are missing.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Labels, Targets
from partlabel.core.types import TextFeatures


@dataclass(frozen=True, eq=False)
class Observed:
    """What is known of some images.

    Attributes:
        labels: PRESENT, ABSENT or UNKNOWN.
        targets: What sources are fitted to: the known labels, and perhaps assumptions about unknown ones.
        fold: The fold of each image: out of fold, a source has not seen the labels of its images.
        logits: Logits of a recogniser that has not seen the labels of the image; None without a recogniser.
        image: A feature of each image; None without one.
        text: Features of the texts that accompany the images; None where there are no texts.
        zero_shot: Logits of the classes by their names, from an image encoder and a text encoder that were aligned;
            None without such encoders.
        second: A feature of each image by a second backbone; None without one.
        context: Keys of folder, minute and place of each image (`data/images/context.py`); None without them.
    """

    labels: Labels
    targets: Targets
    fold: Int64[Tensor, " image"]
    logits: Float[Tensor, "image class"] | None = None
    image: Float[Tensor, "image feature"] | None = None
    text: TextFeatures | None = None
    zero_shot: Float[Tensor, "image class"] | None = None
    second: Float[Tensor, "image second_feature"] | None = None
    context: Int64[Tensor, "image kind"] | None = None

    def has(self, needs: tuple[str, ...]) -> bool:
        """Return whether all inputs of those names are there: of `labels`, a known one."""
        if "labels" in needs and not (self.labels != UNKNOWN).any():
            return False
        return all(getattr(self, name) is not None for name in needs)

    def rows(self, chosen: Bool[Tensor, " image"]) -> "Observed":
        """Select some of the images."""
        return replace(
            self,
            labels=self.labels[chosen],
            targets=Targets(self.targets.value[chosen], self.targets.weight[chosen]),
            fold=self.fold[chosen],
            logits=None if self.logits is None else self.logits[chosen],
            image=None if self.image is None else self.image[chosen],
            text=None if self.text is None else self.text.rows(chosen),
            zero_shot=None if self.zero_shot is None else self.zero_shot[chosen],
            second=None if self.second is None else self.second[chosen],
            context=None if self.context is None else self.context[chosen],
        )


class EvidenceSource(nn.Module, ABC):
    """Base class of the evidence sources: one file beside this one, one source each.

    What a source learns is in its buffers, so that it is saved and loaded with them.
    """

    needs: ClassVar[tuple[str, ...]]
    """Attributes of `Observed` that the source needs."""

    @classmethod
    def create(cls, dims: Mapping[str, int]) -> "EvidenceSource":
        """Create the source with those of the sizes (`classes`, `text_dim`, ...) that it takes."""
        taken = inspect.signature(cls).parameters
        return cls(**{name: size for name, size in dims.items() if name in taken})

    @abstractmethod
    def fit(self, given: Observed) -> Float[Tensor, "image class"]:
        """Fit the source, and return the out-of-fold scores of the images that it was fitted to."""

    @abstractmethod
    def forward(self, given: Observed) -> Float[Tensor, "image class"]:
        """Compute the scores of other images; larger means more likely present."""

    def prior(self, given: Observed) -> Float[Tensor, " class"] | None:
        """Estimate the log-odds of each class without any label; None for a source that learns from labels."""
        return None

    def available(self, given: Observed) -> Bool[Tensor, " image"]:
        """Return which images have the inputs of the source."""
        if "text" in self.needs and given.text is not None:
            return given.text.available
        return given.fold >= 0
