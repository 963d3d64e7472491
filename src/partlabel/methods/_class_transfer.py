"""Base of methods that transfer knowledge from image to image by features of classes.

They share the contrastive loss, which makes features of a class comparable, and a first epoch of their own terms.
"""

from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.targets import Labels
from partlabel.core.types import Progress
from partlabel.losses.contrastive import Contrastive
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._base import Method
from partlabel.nn.heads import ClassOutput, Head


class WholeBatch(NamedTuple):
    """What is compared from image to image, of the images of all processes.

    Attributes:
        features: One feature per image and class.
        labels: PRESENT, ABSENT or UNKNOWN.
        generator: Random generator of the step, equal in all processes.
    """

    features: Float[Tensor, "all class feature"]
    labels: Labels
    generator: torch.Generator


class ClassTransfer(Method):
    """Method that compares features of classes.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes; it must compute class features.
        start_epoch: First epoch (from 0) with terms beyond those of known labels.
        contrast_weight: Weight of the contrastive loss.
        ramp_epochs: Epochs over which that weight rises from 0; 0 if it does not.
    """

    default_head: ClassVar[str] = "residual"
    needs: ClassVar[str] = "labels, class vectors, a head with class features"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        start_epoch: int,
        contrast_weight: float,
        ramp_epochs: float = 0.0,
    ) -> None:
        super().__init__(backbone, head)
        self.need_class_features()
        self.bce = PartialBCE()
        self.contrast = Contrastive()
        self.start_epoch = start_epoch
        self.contrast_weight = contrast_weight
        self.ramp_epochs = ramp_epochs

    def has_begun(self, progress: Progress) -> bool:
        """Return whether the step lies in `start_epoch` or later."""
        return progress.epoch >= self.start_epoch

    def whole_batch(self, out: ClassOutput, labels: Labels, progress: Progress) -> WholeBatch:
        """Gather features and labels of the images of all processes."""
        assert out.features is not None
        features, of_all = distributed.all_gather_rows(out.features, labels)
        return WholeBatch(features, of_all, progress.generator(labels.device))

    def contrast_term(self, whole: WholeBatch, progress: Progress) -> Float[Tensor, ""]:
        """Compute the weighted contrastive loss."""
        weight = self.contrast_weight * progress.ramp(self.ramp_epochs)
        return weight * self.contrast(whole.features, whole.labels, whole.generator)
