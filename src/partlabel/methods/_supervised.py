"""What methods that fit the known labels alone share: one term, the loss of known labels."""

from typing import ClassVar

from torch import nn

from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses._base import Loss
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._base import Method, Step
from partlabel.nn.heads import Head


class Supervised(Method):
    """Method with one loss of the known labels, `bce`; binary cross-entropy unless a subclass sets another.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
    """

    default_head: ClassVar[str] = "average"
    adds: ClassVar[str] = "nothing: the known labels alone"

    def __init__(self, backbone: nn.Module, head: Head) -> None:
        super().__init__(backbone, head)
        self.loss: Loss = PartialBCE()

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce` on the known labels."""
        return Step({"bce": self.loss(self(batch.inputs), self.fixed_targets(batch.labels))})

    def fixed_targets(self, labels: Labels) -> Targets:
        """Return the known labels."""
        return Targets.known(labels)
