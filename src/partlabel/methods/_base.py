"""What a method is: images and labels in, named loss terms out.

A method is a plain `nn.Module`. It knows nothing of trainers, devices or files; whoever runs it tells it the time.
Whatever it remembers between steps is a buffer or a parameter, so that a saved and reloaded method goes on as if
nothing had happened.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from partlabel.labels import Labels, Targets
from partlabel.nn.heads import ClassOutput, Head


class Batch(NamedTuple):
    """One training batch.

    Attributes:
        images: What the backbone takes: images, or the cached output of its frozen stages.
        labels: PRESENT, ABSENT or UNKNOWN.
        index: The row of each image in the training table.
    """

    images: Float[Tensor, "batch *shape"]
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
        """A source of chance for this step alone, the same whenever and wherever the step is taken."""
        # 64 bits hold 24 of the seed's 31 above the step; the others go below those.
        seed = (self.seed << 40) % 2**64 + (self.seed >> 24 << 33)
        return torch.Generator(device).manual_seed(seed + self.step)

    def opens(self, every: int, start: int = 0) -> bool:
        """Whether this is the first step of an epoch, and so many epochs or a multiple have passed since `start`."""
        return self.batch == 0 and (self.epoch - start) % every == 0

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

    A subclass says how a batch becomes loss terms, in `step`; its typed keyword arguments become its command line
    options, its docstring their help.

    Args:
        backbone: Images to a feature map of `backbone.channels` channels.
        head: The feature map to a `ClassOutput`.
    """

    default_head: ClassVar[str] = "ssgrl"
    """The head (a name in `nn/heads`) that the paper uses."""
    adds: ClassVar[str]
    """What the method adds to its head, in a few words."""
    needs: ClassVar[str] = "labels"
    """What it needs besides images."""

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def need_class_features(self) -> None:
        """For a method's constructor: refuse a head that gives no feature per class.

        Raises:
            ValueError: It does not; the message names heads that do.
        """
        if not self.head.feature_dim:
            raise ValueError(
                f"{type(self).__name__} compares features of classes, and the head {type(self.head).__name__} gives "
                "none; take one that does, such as 'ssgrl' or 'residual'"
            )

    @abstractmethod
    def step(self, batch: Batch, progress: Progress) -> Step:
        """The named loss terms of a batch, and the pseudo-labels they were trained on."""

    def validate(self, batch: Batch) -> Float[Tensor, "batch class"]:
        """Logits of validation images. A method that calibrates itself on validation keeps what it needs here."""
        return self(batch.images)

    def end_validation(self) -> Float[Tensor, "image class"] | None:
        """Called when all validation images were seen, before anything is saved.

        A method may calibrate itself here. It then returns the logits of all the images anew, in the order seen.
        """
        return None

    def predicts_with(self) -> tuple[str, ...]:
        """Names of the parts and buffers that prediction needs; the rest of the state serves training alone."""
        return ("backbone", "head")

    def outputs(self, images: Float[Tensor, "batch *shape"]) -> ClassOutput:
        """Logits, and the features and attention maps of every class where the head has them."""
        return self.head(self.backbone(images))

    def forward(self, images: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch class"]:
        """Logits of the classes."""
        return self.outputs(images).logits
