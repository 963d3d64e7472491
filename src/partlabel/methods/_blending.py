"""Base of SARB and DSRB: loss terms on features blended with those of another image and with a prototype.

The two differ in what a prototype is, and in which of them is blended in.
"""

from abc import abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Batch, Progress
from partlabel.methods._base import Step
from partlabel.methods._class_transfer import ClassTransfer
from partlabel.nn.heads import ClassOutput, Head
from partlabel.transfer import feature_blending


class Blending(ClassTransfer):
    """`L = BCE(known) + BCE(instance blend) + BCE(prototype blend) + contrast_weight L_con`.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes; it must compute class features.
        start_epoch: First epoch (from 0) with blending.
        contrast_weight: Weight of the contrastive loss.
        ramp_epochs: Epochs over which that weight rises from 0.
    """

    def __init__(
        self, backbone: nn.Module, head: Head, start_epoch: int, contrast_weight: float, ramp_epochs: float
    ) -> None:
        super().__init__(backbone, head, start_epoch, contrast_weight, ramp_epochs)
        # The sigmoid is the share of a feature that is kept in a blend, initially one half.
        self.alpha = nn.Parameter(torch.zeros(()))
        self.beta = nn.Parameter(torch.zeros(()))

    @abstractmethod
    def remember(
        self, out: ClassOutput, features: Float[Tensor, "all class feature"], labels: Labels
    ) -> None:
        """Update the state that prototypes are computed from.

        Args:
            out: Head outputs of the images of this process.
            features: Class features of the images of all processes.
            labels: Labels of the images of all processes.
        """

    @abstractmethod
    def stand_ins(
        self, out: ClassOutput, labels: Labels, progress: Progress, generator: torch.Generator
    ) -> tuple[Float[Tensor, "*batch class feature"], Bool[Tensor, "batch class"]]:
        """Choose a prototype for each class, or for each image and class, and the labels where it is blended in.

        Args:
            out: Head outputs of the images of this process.
            labels: Labels of the images of all processes.
            progress: Position in the run.
            generator: Random generator, equal in all processes.
        """

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce`, `contrast`, and from `start_epoch` on `bce_instance` and `bce_prototype`."""
        out = self.outputs(batch.inputs)
        assert out.features is not None
        known = Targets.known(batch.labels)
        whole = self.whole_batch(out, batch.labels, progress)
        contrast = self.contrast_term(whole, progress)
        self.remember(out, whole.features, whole.labels)
        terms = {
            # Every parameter is used in every step, which distributed training requires.
            "bce": self.bce(out.logits, known) + 0 * (self.alpha + self.beta),
            "contrast": contrast,
        }
        if self.has_begun(progress):
            partners = self.partners(whole.features, whole.labels, distributed.local_rows(out.features))
            terms["bce_instance"] = self.bce(*self.blended(out.features, *partners, self.alpha, known))
            prototypes = self.stand_ins(out, whole.labels, progress, whole.generator)
            terms["bce_prototype"] = self.bce(*self.blended(out.features, *prototypes, self.beta, known))
        return Step(terms)

    def partners(
        self, features: Float[Tensor, "all class feature"], labels: Labels, own: slice
    ) -> tuple[Float[Tensor, "batch class feature"], Bool[Tensor, "batch class"]]:
        """Pair each image with the one at the same position from the end of the batch.

        Features are blended where a label is unknown and the partner is known to show the class.
        """
        where = (labels == UNKNOWN) & (labels.flip(0) == PRESENT)
        return features.flip(0)[own], where[own]

    def blended(
        self,
        features: Float[Tensor, "batch class feature"],
        other: Float[Tensor, "*batch class feature"],
        where: Bool[Tensor, "batch class"],
        strength: Float[Tensor, ""],
        known: Targets,
    ) -> tuple[Float[Tensor, "batch class"], Targets]:
        """Compute logits of blended features, and their targets.

        Args:
            features: Class features of the images of this process.
            other: Features that are blended in.
            where: Labels with blending.
            strength: Logit of the share of the original features.
            known: The known labels, which stay unchanged.
        """
        kept = strength.sigmoid()
        logits = self.head.classify(feature_blending.blend(features, other, where, kept))
        return logits, known.fill(feature_blending.targets(where, kept))
