"""CDUL: an image-text model labels photos by their whole and by their parts; recogniser and labels then move in turn.

Abdelfattah et al., "CDUL: CLIP-Driven Unsupervised Learning for Multi-Label Image Classification", ICCV 2023,
arXiv:2307.16634. No label is needed:

    g = softmax_c(scale cos(photo, name_c)),   s_p = softmax_c(scale cos(place p, name_c))
    a_c = max_p s_pc if max_p s_pc >= threshold else min_p s_pc,   y = (g + a) / 2
    train: minimise KL(y, p);   every few epochs: u <- u - psi(y) dKL(y, p) / dy,   y = sigmoid(u)

with `psi` the density of a Gaussian around 1/2. For one label `KL = y log(y / p) + (1 - y) log((1 - y) / (1 - p))`, so
that its gradient is `u - z`, z the logit of the recogniser: a latent label moves by the share psi towards what is
predicted. KL and cross-entropy have the same gradient at the recogniser.

Known labels, which the paper has none of, overrule latent ones: our extension. Departures, and what was read where:
`docs/methods/vision_language.md`.
"""

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._base import Method, Step
from partlabel.nn.classes import LEAST_PREVALENCE
from partlabel.nn.heads import Head
from partlabel.nn.named_places import NamedPlaces, sharpness_of
from partlabel.nn.pooling import FeatureMap
from partlabel.transfer.label_store import ImageTable

NOT_SEEN = torch.inf
"""Stored logit of labels that the tower has not been asked for."""
CERTAIN = 1e-4
"""Least distance of a latent label from 0 and 1 at the start, so that it can move."""
NARROWEST = 0.2
"""Width below which a latent label would move by more than twice its distance, and never arrive."""


class CDUL(Method):
    """Latent labels from a tower, moved by their gradient (CDUL; Abdelfattah et al., ICCV 2023, arXiv:2307.16634).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        threshold: Probability from which the strongest place speaks for a class; below it the weakest does.
        width: Standard deviation of the Gaussian around 1/2 that weighs the moves of latent labels.
        every: Number of epochs between moves.
        latent_weight: Weight of the loss of latent labels, relative to that of known ones.
        prompt: Words before a class name.
        sharpness: Factor of a cosine in the softmax over classes. None: the tower's.
    """

    default_head: ClassVar[str] = "average"
    adds: ClassVar[str] = (
        "latent labels from a tower, by the photo and its places, that move with the recogniser"
    )
    needs: ClassVar[str] = "a tower; labels, if available; keeps a number per label"
    needs_tower: ClassVar[bool] = True
    learns_without_labels: ClassVar[bool] = True
    of_single_images: ClassVar[bool] = True

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        threshold: float = 0.2,
        width: float = 1.0,
        every: int = 5,
        latent_weight: float = 1.0,
        prompt: str = "a photo of a",
        sharpness: float | None = None,
    ) -> None:
        super().__init__(backbone, head)
        if width <= NARROWEST:
            raise ValueError(
                f"width is {width}; it has to be above {NARROWEST}, or latent labels move past what is predicted"
            )
        self.bce = PartialBCE()
        self.named = NamedPlaces(head.joint, head.channels, prompt)
        self.latent = ImageTable(head.num_classes, NOT_SEEN)
        self.threshold, self.width, self.every, self.latent_weight = threshold, width, every, latent_weight
        self.sharpness = sharpness_of(head.joint, sharpness)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce` of the known labels and `latent` of the others, and move latent labels in some epochs."""
        feature_map = self.backbone(batch.inputs)
        before = self.latent_logits(feature_map, batch, progress)
        if progress.step == 0:
            self.raise_biases(before)
        logits = self.head(feature_map).logits.float()
        pseudo = Targets(before.sigmoid(), (batch.labels == UNKNOWN).float())
        terms = {
            "bce": self.bce(logits, Targets.known(batch.labels)),
            "latent": self.latent_weight * self.bce(logits, pseudo),
        }
        due = progress.epoch > 0 and progress.epoch % self.every == 0
        after = self.moved(before, logits.detach()) if due else before
        self.latent.write(*distributed.all_gather_rows(batch.index, after))
        return Step(terms, {"latent": pseudo})

    @torch.no_grad()
    def latent_logits(
        self, feature_map: FeatureMap, batch: Batch, progress: Progress
    ) -> Float[Tensor, "batch class"]:
        """Read the latent labels of a batch, as logits; in the first epoch, which sees every image, compute them."""
        stored = self.latent.read(batch.index)
        new = stored == NOT_SEEN
        if progress.epoch > 0 and self.latent.places:
            return stored.masked_fill(new, 0.0)
        return self.start(feature_map).logit(CERTAIN).where(new, stored)

    @torch.no_grad()
    def raise_biases(self, latent: Float[Tensor, "batch class"]) -> None:
        """Let biases of classes without a label known to be present begin at the mean latent label of the first batch.

        A head lets them begin at the least prevalence, from which hundreds of steps do not bring them back.
        """
        layer = self.head.last_linear
        if layer is None or layer.bias is None:
            return
        (whole,) = distributed.all_gather_rows(latent)
        lowest = whole.new_zeros(()).logit(LEAST_PREVALENCE)
        layer.bias.copy_(
            torch.where(layer.bias <= lowest, whole.sigmoid().mean(0).logit(CERTAIN), layer.bias)
        )

    @torch.no_grad()
    def start(self, feature_map: FeatureMap) -> Float[Tensor, "batch class"]:
        """Compute the first latent labels: the mean of what the photo says and what its places say.

        The parts of the paper are nine crops, each with a pass of the image encoder; here they are the places of the
        feature map that the recogniser has anyway, mapped one by one into the space of the tower.
        """
        photo, places = (self.sharpness * cosine for cosine in self.named(feature_map))
        parts = places.softmax(2)
        strongest, weakest = parts.amax(1), parts.amin(1)
        aggregate = torch.where(strongest >= self.threshold, strongest, weakest)
        return (photo.softmax(1) + aggregate) / 2

    @torch.no_grad()
    def moved(
        self, latent: Float[Tensor, "batch class"], logits: Float[Tensor, "batch class"]
    ) -> Float[Tensor, "batch class"]:
        """Move latent labels: `u - psi(y) (u - z)`, `psi(y) = exp(-(y - 1/2)^2 / (2 width^2)) / (width sqrt(2 pi))`."""
        distance = (latent.sigmoid() - 0.5) / self.width
        psi = torch.exp(-distance.square() / 2) / (self.width * math.sqrt(2 * math.pi))
        return latent - psi * (latent - logits)
