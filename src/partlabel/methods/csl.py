"""CSL: unknown labels are assumed absent, except those that are likely present by class or by image."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.asymmetric import Asymmetric
from partlabel.methods._assuming import Assuming, largest
from partlabel.nn.heads import Head


class CSL(Assuming):
    """Class-aware selective loss, P-ASL (Ben-Baruch et al., CVPR 2022, arXiv:2110.10955).

    Unknown labels of classes that are predicted in most images, and the most probable ones of each batch, are left out.
    The authors estimate how often a class is predicted, the prior, with another model that was trained on known labels
    alone; here this model is trained that way until `start`, and the prior is its mean prediction in the epoch before.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        gamma_present: Focusing exponent of present labels.
        gamma_absent: Focusing exponent of absent labels.
        gamma_unknown: Focusing exponent of unknown labels.
        prior: Prior above which unknown labels of a class are left out.
        likely: Number of unknown labels left out per image of a batch, the most probable of all.
        start: Share of the run after which unknown labels are used.
    """

    adds: ClassVar[str] = "unknown labels count as absent, but for likely ones"
    of_single_images: ClassVar[bool] = True
    prediction: Float[Tensor, " class"]
    images: Float[Tensor, ""]

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        gamma_present: float = 0.0,
        gamma_absent: float = 1.0,
        gamma_unknown: float = 4.0,
        prior: float = 0.5,
        likely: float = 5.0,
        start: float = 1 / 3,
    ) -> None:
        known = Asymmetric(gamma_present, gamma_absent, 0.0)
        super().__init__(backbone, head, known, Asymmetric(gamma_present, gamma_unknown, 0.0))
        self.prior = prior
        self.likely = likely
        self.start = start
        self.register_buffer("prediction", torch.zeros(head.num_classes))
        self.register_buffer("images", torch.zeros(()))

    def assumed(self, logits: Float[Tensor, "batch class"], batch: Batch, progress: Progress) -> Targets:
        """Assume labels absent, from `start` on, except those that are likely present."""
        begins, p = round(self.start * progress.epochs), logits.sigmoid()
        if progress.epoch < begins:
            if progress.epoch == begins - 1:
                self.prediction += distributed.all_reduce_sum(p.sum(0))
                self.images += distributed.all_reduce_sum(p.new_full((), float(len(p))))
            return Targets(torch.zeros_like(p), torch.zeros_like(p))
        frequent = self.prediction / self.images.clamp(min=1) > self.prior
        left_out = largest(p, batch.labels == UNKNOWN, self.likely) | frequent
        return Targets(torch.zeros_like(p), (~left_out).float())
