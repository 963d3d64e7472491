"""What SARB and DSRB share: terms by features blended with another image's and with a prototype's.

They differ in what a prototype is, and which of them stands in for what.
"""

from abc import abstractmethod

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.contrastive import Contrastive
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._base import Method, Step
from partlabel.nn.heads import ClassOutput, Head
from partlabel.transfer import feature_blending


class Blending(Method):
    """`L = BCE(known) + BCE(instance blend) + BCE(prototype blend) + contrast_weight L_con`.

    Args:
        backbone: Images to a feature map.
        head: The feature map to classes; it must give a feature per class.
        start_epoch: First epoch (from 0) that blends.
        contrast_weight: Of the contrastive loss.
        ramp_epochs: Over which it comes in.
    """

    def __init__(
        self, backbone: nn.Module, head: Head, start_epoch: int, contrast_weight: float, ramp_epochs: float
    ) -> None:
        super().__init__(backbone, head)
        self.need_class_features()
        # Of a feature, how much is kept in a blend: the sigmoid, half at first.
        self.alpha = nn.Parameter(torch.zeros(()))
        self.beta = nn.Parameter(torch.zeros(()))
        self.bce = PartialBCE()
        self.contrast = Contrastive()
        self.start_epoch = start_epoch
        self.contrast_weight = contrast_weight
        self.ramp_epochs = ramp_epochs

    @abstractmethod
    def remember(
        self, out: ClassOutput, features: Float[Tensor, "all class feature"], labels: Labels
    ) -> None:
        """Take a batch into what prototypes are made of.

        Args:
            out: Of the images of this process.
            features: Of the images of all.
            labels: Of the images of all.
        """

    @abstractmethod
    def stand_ins(
        self, out: ClassOutput, labels: Labels, progress: Progress, generator: torch.Generator
    ) -> tuple[Float[Tensor, "*batch class feature"], Bool[Tensor, "batch class"]]:
        """A prototype for each class, or for each image and class, and where it is blended in.

        Args:
            out: Of the images of this process.
            labels: Of the images of all.
            progress: The time.
            generator: The same in all processes.
        """

    def step(self, batch: Batch, progress: Progress) -> Step:
        """`bce`, `contrast`, and from `start_epoch` on `bce_instance` and `bce_prototype`."""
        out = self.outputs(batch.images)
        assert out.features is not None
        known = Targets.known(batch.labels)
        features, labels = distributed.all_gather_rows(out.features, batch.labels)
        generator = progress.generator(labels.device)
        contrast = self.contrast(features, labels, generator)
        self.remember(out, features, labels)
        terms = {
            # Every parameter takes part in every step, as training by several processes wants.
            "bce": self.bce(out.logits, known) + 0 * (self.alpha + self.beta),
            "contrast": self.contrast_weight * progress.ramp(self.ramp_epochs) * contrast,
        }
        if progress.epoch >= self.start_epoch:
            partners = self.partners(features, labels, distributed.local_rows(out.features))
            terms["bce_instance"] = self.bce(*self.blended(out.features, *partners, self.alpha, known))
            prototypes = self.stand_ins(out, labels, progress, generator)
            terms["bce_prototype"] = self.bce(*self.blended(out.features, *prototypes, self.beta, known))
        return Step(terms)

    def partners(
        self, features: Float[Tensor, "all class feature"], labels: Labels, own: slice
    ) -> tuple[Float[Tensor, "batch class feature"], Bool[Tensor, "batch class"]]:
        """The features of the image at the same place from the end of the batch, and where they are blended in.

        That is where a label is unknown, and the partner is known to show the class.
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
        """Logits of blended features, and what they are to say.

        Args:
            features: Of the images of this process.
            other: What is blended in.
            where: At which labels.
            strength: Its sigmoid is the share of the features that is kept.
            known: The known labels, which stay.
        """
        kept = strength.sigmoid()
        logits = self.head.classify(feature_blending.blend(features, other, where, kept))
        return logits, known.fill(feature_blending.targets(where, kept))
