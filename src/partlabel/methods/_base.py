"""What a method is: images and labels in, named loss terms out.

A method is a plain `nn.Module`. It knows nothing of trainers, devices or files; whoever runs it tells it the time.
Whatever it remembers between steps is a buffer or a parameter, so that a saved and reloaded method goes on as if
nothing had happened.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor, nn

from partlabel.labels import Labels, Targets


class Batch(NamedTuple):
    """One training batch.

    Attributes:
        images: What the backbone takes: images, or the cached output of its frozen stages.
        labels: PRESENT, ABSENT or UNKNOWN.
        index: The row of each image in the training table.
    """

    images: Float[Tensor, "batch *shape"]
    labels: Labels
    index: Int64[Tensor, "batch"]


@dataclass(frozen=True)
class Progress:
    """Where in a run a step lies.

    Attributes:
        epoch: Epochs finished so far.
        step: Steps finished so far, over all epochs.
        batch: Batches finished so far in this epoch.
        batches: Batches in an epoch.
        epochs: Epochs in the run.
    """

    epoch: int = 0
    step: int = 0
    batch: int = 0
    batches: int = 1
    epochs: int = 1

    def ramp(self, epochs: float = 1.0) -> float:
        """From 0 at the first step of the run linearly to 1 after so many epochs."""
        if epochs <= 0:
            return 1.0
        return min((self.epoch + self.batch / self.batches) / epochs, 1.0)


class Step(NamedTuple):
    """What a method makes of a batch.

    Attributes:
        terms: Named scalar losses, already weighted; their sum is minimised.
        pseudo_labels: By name, the pseudo-labels this step trained on, so that their number and, where the truth
            is known, their precision and recall can be logged.
    """

    terms: dict[str, Float[Tensor, ""]]
    pseudo_labels: dict[str, Targets] = {}  # noqa: RUF012 - never written to


class Method(nn.Module, ABC):
    """A way to learn from partially known labels: one file beside this one, one paper each.

    A subclass's constructor takes `backbone` and `classes` (and what else it needs as typed keyword arguments, which
    become its command line options); it offers `step` for training and `forward` for everything after.
    """

    backbone: nn.Module

    @abstractmethod
    def step(self, batch: Batch, progress: Progress) -> Step:
        """The named loss terms of a batch, and the pseudo-labels they were trained on."""

    @abstractmethod
    def forward(self, images: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch class"]:
        """Logits of the classes."""
