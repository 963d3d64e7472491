"""SR: places with high scores have more weight in the logit, and one view of an image supervises another.

Wang, Wan, Xiang and Zeng, "Saliency Regularization for Self-Training with Partial Annotations", ICCV 2023. The saliency
is part of the logit, in training and inference (equation 5), and needs a head that scores places. The consistency of
two views is FixMatch's (equations 8 and 11). A batch holds one view of each image, or the cached output of frozen
stages, so the second view is made from that: `docs/methods/saliency.md`.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._base import Method, Step
from partlabel.methods._second_view import second_view
from partlabel.nn.heads import Head
from partlabel.nn.heads._base import ClassMaps
from partlabel.transfer.pseudo_labels import from_confidence


class Saliency(Method):
    """Saliency and consistency regularisation, SR (Wang et al., ICCV 2023, doi:10.1109/ICCV51070.2023.00155).

    `L = BCE(known, both views) + consistency BCE(pseudo-labels of the plain view, other view)` with the logit
    `a_c + share * mean of the highest scores of c at any place`, a_c the head's.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes; it must compute class maps.
        share: Alpha of the paper; 0 leaves the saliency out.
        places: k of the paper: number of highest scores; all places, if there are fewer.
        threshold: Tau of the paper: minimum probability of presence or absence for an unknown label to get a
            pseudo-label.
        consistency: Weight of the second term (paper: 1); 0 leaves it out, with the second view.
        erased: Side of the square erased from the second view, as a share of the view's sides.
        start_epoch: First epoch (from 0) with the second term (paper: 0).

    Raises:
        ValueError: The head has no class maps; the message names heads that do.
    """

    default_head: ClassVar[str] = "average"
    adds: ClassVar[str] = "the strongest places of each class in its logit; consistency of two views"
    needs: ClassVar[str] = "labels, a head with class maps"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        share: float = 0.5,
        places: int = 5,
        threshold: float = 0.6,
        consistency: float = 1.0,
        erased: float = 0.5,
        start_epoch: int = 0,
    ) -> None:
        super().__init__(backbone, head)
        if not head.has_class_maps:
            raise ValueError(
                f"Saliency needs scores of a class at each place, and the head {type(head).__name__} gives no class "
                "maps; take one that does, such as 'average', 'class_attention' or 'residual'"
            )
        if places < 1 or not 0 <= erased <= 1:
            raise ValueError(
                f"places is {places} and erased {erased}; places has to be at least 1, and erased from 0 to 1"
            )
        self.loss = PartialBCE()
        self.share = share
        self.places = places
        self.threshold = threshold
        self.consistency = consistency
        self.erased = erased
        self.start_epoch = start_epoch

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce`, and from `start_epoch` on `consistency` of pseudo-labels, logged as `consistent`."""
        if self.consistency == 0 or progress.epoch < self.start_epoch:
            return Step({"bce": self.loss(self(batch.inputs), Targets.known(batch.labels))})
        logits = self(torch.cat([batch.inputs, second_view(self, batch, progress, self.erased)]))
        plain, other = logits.chunk(2)
        known = Targets.known(torch.cat([batch.labels, batch.labels]))
        pseudo = from_confidence(plain, batch.labels, self.threshold)
        terms = {
            "bce": self.loss(logits, known),
            "consistency": self.consistency * self.loss(other, pseudo),
        }
        return Step(terms, {"consistent": pseudo})

    def forward(self, images: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch class"]:
        """Compute logits: the head's, plus a share of the saliency."""
        feature_map = self.backbone(images)
        logits = self.head(feature_map).logits
        return logits + self.share * mean_of_highest(self.head.class_maps(feature_map), self.places)


def mean_of_highest(maps: ClassMaps, places: int) -> Float[Tensor, "batch class"]:
    """Compute `s_c`, the mean of the highest scores of a class at any place (equation 3)."""
    scores = maps.flatten(2)
    return scores.topk(min(places, scores.shape[2]), -1).values.mean(-1)
