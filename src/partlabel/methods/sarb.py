"""SARB: features blended with those of another image, or with a prototype, give unknown labels a known answer.

Pu et al., "Semantic-Aware Representation Blending for Multi-Label Image Recognition with Partial Labels", AAAI 2022,
arXiv:2203.02172. What they leave open or get wrong, and what is done here: `docs/methods/sarb.md`.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel import blending, ranks
from partlabel.codes import PRESENT, UNKNOWN
from partlabel.labels import Labels, Targets
from partlabel.losses.contrastive import Contrastive
from partlabel.losses.partial_bce import PartialBCE
from partlabel.memory import FeatureMemory
from partlabel.methods._base import Batch, Method, Progress, Step
from partlabel.nn.heads import ClassOutput, Head
from partlabel.prototypes import Prototypes


class SARB(Method):
    """Semantic-aware representation blending (Pu et al., AAAI 2022, arXiv:2203.02172).

    `L = BCE(known) + BCE(instance blend) + BCE(prototype blend) + 0.05 L_con`

    Args:
        backbone: Images to a feature map.
        head: The feature map to classes; it must give a feature per class.
        start_epoch: First epoch (from 0) that blends.
        blends: Unknown labels of each image that are blended with a prototype.
        prototypes: Per class.
        every: Epochs after which prototypes are found anew.
        memory_size: Features remembered per class, which the prototypes are the centres of.
        contrast_weight: Of the contrastive loss.
        ramp_epochs: Over which it comes in.
    """

    default_head: ClassVar[str] = "residual"
    adds: ClassVar[str] = "features blended with those of other images and with prototypes of classes"
    needs: ClassVar[str] = "labels, class vectors, a head with class features"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        start_epoch: int = 5,
        blends: int = 1,
        prototypes: int = 10,
        every: int = 5,
        memory_size: int = 100,
        contrast_weight: float = 0.05,
        ramp_epochs: float = 1.0,
    ) -> None:
        super().__init__(backbone, head)
        self.need_class_features()
        self.memory = FeatureMemory(head.num_classes, memory_size, head.feature_dim)
        self.prototypes = Prototypes(head.num_classes, prototypes, head.feature_dim)
        # Of a feature, how much is kept in a blend: the sigmoid, half at first.
        self.alpha = nn.Parameter(torch.zeros(()))
        self.beta = nn.Parameter(torch.zeros(()))
        self.bce = PartialBCE()
        self.contrast = Contrastive()
        self.start_epoch = start_epoch
        self.blends = blends
        self.every = every
        self.contrast_weight = contrast_weight
        self.ramp_epochs = ramp_epochs

    def step(self, batch: Batch, progress: Progress) -> Step:
        """`bce`, `contrast`, and from `start_epoch` on `bce_instance` and `bce_prototype`."""
        out = self.outputs(batch.images)
        assert out.features is not None
        known = Targets.known(batch.labels)
        features, labels = ranks.gather(out.features, batch.labels)
        generator = progress.generator(labels.device)
        contrast = self.contrast(features, labels, generator)
        self.memory.add(features, labels)
        terms = {
            # Every parameter takes part in every step, as training by several processes wants.
            "bce": self.bce(out.logits, known) + 0 * (self.alpha + self.beta),
            "contrast": self.contrast_weight * progress.ramp(self.ramp_epochs) * contrast,
        }
        if progress.epoch >= self.start_epoch:
            self.prototypes.refresh(self.memory, progress.opens(self.every, self.start_epoch), generator)
            terms["bce_instance"] = self.bce(*self.with_instances(out.features, features, labels, known))
            terms["bce_prototype"] = self.bce(*self.with_prototypes(out, labels, known, generator))
        return Step(terms)

    def with_instances(
        self,
        features: Float[Tensor, "batch class feature"],
        every: Float[Tensor, "all class feature"],
        labels: Labels,
        known: Targets,
    ) -> tuple[Float[Tensor, "batch class"], Targets]:
        """Logits and targets, where unknown labels are blended with those that an image's partner is known to show.

        Args:
            features: Of the images of this process.
            every: Of the images of all.
            labels: Of the images of all.
            known: Of this process; the partner is the image at the same place from the end of the batch.
        """
        own = ranks.own(features)
        where = ((labels == UNKNOWN) & (labels.flip(0) == PRESENT))[own]
        kept = self.alpha.sigmoid()
        blended = blending.blend(features, every.flip(0)[own], where, kept)
        return self.head.classify(blended), known.fill(blending.targets(where, kept))

    def with_prototypes(
        self, out: ClassOutput, labels: Labels, known: Targets, generator: torch.Generator
    ) -> tuple[Float[Tensor, "batch class"], Targets]:
        """Logits and targets, where some unknown labels of each image are blended with a prototype.

        Args:
            out: Of the images of this process.
            labels: Of the images of all.
            known: Of this process.
            generator: Draws the labels, and which of its prototypes every class takes.
        """
        assert out.features is not None
        able = (labels == UNKNOWN) & (self.prototypes.filled > 0)
        where = blending.drawn(able, self.blends, generator)[ranks.own(out.features)]
        number = torch.randint(self.prototypes.size, (), generator=generator, device=labels.device)
        kept = self.beta.sigmoid()
        blended = blending.blend(out.features, self.prototypes.pick(number), where, kept)
        return self.head.classify(blended), known.fill(blending.targets(where, kept))
