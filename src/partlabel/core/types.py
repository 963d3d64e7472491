"""Types that cross layers: a batch, progress of a run, preprocessing of images, what is beside them, class names."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from partlabel.core.targets import Labels


class StemOutput(Tensor):
    """Output of the frozen stem of a backbone, as the feature cache has it; views of it and mixtures are of this type.

    `Backbone.forward` computes the stem for images, and starts after the stem for these.
    """

    @classmethod
    def of(cls, features: Float[Tensor, "batch *shape"]) -> "StemOutput":
        """Mark features as output of a stem, without a copy."""
        return features.as_subclass(cls)


class Batch(NamedTuple):
    """One training batch.

    Attributes:
        inputs: Images, or what the frozen stem of the backbone makes of them (`StemOutput`); a backbone takes both.
        labels: PRESENT, ABSENT or UNKNOWN.
        index: The row of each image in the training table.
    """

    inputs: Float[Tensor, "batch *shape"]
    labels: Labels
    index: Int64[Tensor, " batch"]  # type: ignore[assignment]  # a field, in the place of tuple.index


@dataclass(frozen=True)
class Progress:
    """Where in a run a step lies.

    Attributes:
        epoch: Epochs finished so far.
        step: Steps finished so far, over all epochs.
        batch: Batches finished so far in this epoch.
        batches: Batches in an epoch.
        epochs: Epochs in the run.
        seed: The run's.
    """

    epoch: int = 0
    step: int = 0
    batch: int = 0
    batches: int = 1
    epochs: int = 1
    seed: int = 0

    def generator(self, device: torch.device | str = "cpu") -> torch.Generator:
        """Create a random generator for this step, which depends on seed and step only."""
        # 64 bits hold 24 of the seed's 31 above the step; the others go below those.
        seed = (self.seed << 40) % 2**64 + (self.seed >> 24 << 33)
        return torch.Generator(device).manual_seed(seed + self.step)

    def opens(self, every: int, start: int = 0) -> bool:
        """Return whether this is the first step of an epoch that is a multiple of `every` epochs after `start`."""
        return self.batch == 0 and (self.epoch - start) % every == 0

    def ramp(self, epochs: float = 1.0) -> float:
        """Compute a factor that rises linearly from 0 at the first step to 1 after the given number of epochs."""
        if epochs <= 0:
            return 1.0
        return min((self.epoch + self.batch / self.batches) / epochs, 1.0)


class Preprocessing(NamedTuple):
    """Normalisation of images, with values in [0, 1], that a backbone expects."""

    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)


class TextFeatures(NamedTuple):
    """Features of the texts that accompany images; an image without text has zeros.

    Attributes:
        vectors: Mean embedding of the texts of each image.
        similarity: Largest cosine between a text of the image and the name of each class; zeros if the embedder cannot
            compare them.
        mentions: 1 where a text of the image contains the name of the class, else 0.
        available: Whether each image has a text.
    """

    vectors: Float[Tensor, "image dim"]
    similarity: Float[Tensor, "image class"]
    mentions: Float[Tensor, "image class"]
    available: Bool[Tensor, " image"]

    def rows(self, chosen: Tensor) -> "TextFeatures":
        """Select images by a mask or by row numbers."""
        return TextFeatures(*(values[chosen] for values in self))


class NameScale(NamedTuple):
    """Log-odds of the classes by their names: `slope * zero_shot + offset`.

    Attributes:
        slope: Factor of the scores of each class.
        offset: Shift of each class.
    """

    slope: Float[Tensor, " class"]
    offset: Float[Tensor, " class"]


class WordFeatures(NamedTuple):
    """What is known of images beside their labels and the logits of a recogniser.

    Attributes:
        text: Features of the texts that accompany the images; None where none are used.
        zero_shot: Logits of the classes by their names, from a tower; None where none is used.
    """

    text: TextFeatures | None = None
    zero_shot: Float[Tensor, "image class"] | None = None

    @property
    def empty(self) -> bool:
        """Whether there is neither."""
        return self.text is None and self.zero_shot is None

    def rows(self, chosen: Tensor) -> "WordFeatures":
        """Select images by a mask or by row numbers."""
        return WordFeatures(
            None if self.text is None else self.text.rows(chosen),
            None if self.zero_shot is None else self.zero_shot[chosen],
        )
