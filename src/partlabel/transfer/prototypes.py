"""Prototypes of classes: centres of the stored features, or running means of features by kind.

All of it is in buffers, as in `feature_bank.py`, so that a resumed run continues with the same prototypes.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn.functional import normalize

from partlabel.core import distributed
from partlabel.core.dtypes import double_if_supported
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels
from partlabel.nn.shaped_by_state import ShapedByState
from partlabel.transfer.feature_bank import FeatureMemory, mean_cosine

NOWHERE = -1e4
"""Scaled cosine with a prototype that is not there; finite, so that its gradient is."""


class Prototypes(nn.Module):
    """A few centres per class, by k-means over the stored features of the class (SARB, AAAI 2022; HST, IJCV 2024).

    A class with fewer stored features than centres uses each of them as a centre.

    Args:
        num_classes: Number of classes.
        size: Number of centres per class (papers: 10).
        dim: Length of a feature.
    """

    centres: Float[Tensor, "class centre feature"]
    filled: Int64[Tensor, " class"]

    def __init__(self, num_classes: int, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.zeros(num_classes, size, dim))
        self.register_buffer("filled", torch.zeros(num_classes, dtype=torch.int64))
        self._there = False  # once there are some, the device is not asked again

    @property
    def size(self) -> int:
        """Number of centres per class."""
        return self.centres.shape[1]

    @torch.no_grad()
    def refresh(self, memory: FeatureMemory, due: bool, generator: torch.Generator) -> None:
        """Compute the centres if it is time, or if there are none yet.

        Args:
            memory: Features by class, equal in all processes.
            due: Whether it is time.
            generator: Random generator of the k-means start, equal in all processes.
        """
        self._there = self._there or bool(self.filled.any())
        if due or not self._there:
            with torch.autocast(self.centres.device.type, enabled=False):
                self.centres.copy_(kmeans(memory.features, memory.filled, self.size, generator))
            self.filled.copy_(memory.filled.clamp(max=self.size))

    def similarity(self, features: Float[Tensor, "batch class feature"]) -> Float[Tensor, "batch class"]:
        """Compute the mean cosine of each feature to the centres of its class; 0 where there are none."""
        return mean_cosine(features, self.present_centres(), self.filled)

    def present_centres(self) -> Float[Tensor, "class centre feature"]:
        """Return the centres, with zeros where a class has fewer than `size`."""
        there = torch.arange(self.size, device=self.filled.device) < self.filled[:, None]
        return self.centres * there[..., None]

    def _load_from_state_dict(self, *args: Any) -> None:
        """Ask again whether there are centres."""
        super()._load_from_state_dict(*args)
        self._there = False

    def pick(self, number: Int64[Tensor, ""]) -> Float[Tensor, "class feature"]:
        """Select one centre of each class by number, modulo the number of its centres."""
        slot = number % self.filled.clamp(min=1)
        return self.centres.take_along_dim(slot[:, None, None], 1).squeeze(1)


@torch.no_grad()
def kmeans(
    points: Float[Tensor, "class slot feature"],
    filled: Int64[Tensor, " class"],
    size: int,
    generator: torch.Generator,
    rounds: int = 20,
) -> Float[Tensor, "class centre feature"]:
    """Cluster every class's points by Lloyd's algorithm after a k-means++ start, all classes at once.

    Random draws are equal for all classes, so that their order has no influence. A centre that loses all points stays.

    Args:
        points: Points by class and slot; the first `filled` of each class count.
        filled: Number of points of each class.
        size: Number of centres.
        generator: Random generator of the start.
        rounds: Number of Lloyd iterations.
    """
    there = torch.arange(points.shape[1], device=filled.device) < filled[:, None]
    centres = _spread(points, there, size, generator)
    for _ in range(rounds):
        nearest = torch.cdist(points, centres).argmin(2)
        member = (nearest[..., None] == torch.arange(size, device=filled.device)) & there[..., None]
        count = member.sum(1)
        mean = member.to(points).transpose(1, 2) @ points / count.clamp(min=1)[..., None]
        centres = torch.where(count[..., None] > 0, mean, centres)
    return centres


def _spread(
    points: Float[Tensor, "class slot feature"],
    there: Bool[Tensor, "class slot"],
    size: int,
    generator: torch.Generator,
) -> Float[Tensor, "class centre feature"]:
    """Draw points one by one, with probability by the squared distance to the nearest point drawn before."""
    drawn = torch.rand(size, generator=generator, device=points.device)
    kind = double_if_supported(points.device)
    chance = there.to(kind)
    nearest = torch.full_like(points[..., 0], float("inf"))
    centres = []
    for number in range(size):
        upto = chance.cumsum(1)
        slot = (upto <= drawn[number] * upto[:, -1:]).sum(1) % points.shape[
            1
        ]  # the first if there is no choice
        centre = points.take_along_dim(slot[:, None, None], 1)
        nearest = nearest.minimum((points - centre).square().sum(2))
        chance = nearest.to(kind) * there
        centres.append(centre)
    return torch.cat(centres, 1)


def prototype_loss(similarity: Float[Tensor, "batch class"], labels: Labels) -> Float[Tensor, ""]:
    """Sum `1 - cos` over present and `1 + cos` over absent labels, divided by the number of labels (HST).

    Args:
        similarity: Cosines between features and prototypes of their classes.
        labels: PRESENT, ABSENT or UNKNOWN.
    """
    each = torch.where(labels == PRESENT, 1 - similarity, 1 + similarity) * (labels != UNKNOWN)
    return each.sum() / distributed.all_reduce_mean(each.new_full((), float(labels.numel())))


def own_log_share(
    features: Float[Tensor, "batch class feature"],
    prototypes: Float[Tensor, "class feature"],
    there: Float[Tensor, " class"],
    sharpness: float,
) -> Float[Tensor, "batch class"]:
    """Compute `log softmax_k(sharpness cos(feature_c, prototype_k))_c`: how much a feature is like its own class.

    Args:
        features: One feature per image and class.
        prototypes: One prototype per class.
        there: 1 for prototypes that count; without its own, a class has a large negative share.
        sharpness: Factor of a cosine.
    """
    with torch.autocast(features.device.type, enabled=False):
        unit, other = normalize(features.float(), dim=2), normalize(prototypes.float(), dim=1)
        cosine = torch.einsum("bcd,kd->bck", unit, other)
        apart = (sharpness * cosine).masked_fill(there == 0, NOWHERE)
        return apart.log_softmax(2).diagonal(dim1=1, dim2=2)


class RunningMeans(ShapedByState):
    """Running means of the features of each class, by kind.

    Args:
        num_classes: Number of classes.
        kinds: Number of kinds.
        dim: Length of a feature.
        horizon: Number of features up to which the mean is over all of them; afterwards it is an exponential average.
    """

    mean: Float[Tensor, "class kind feature"]
    count: Int64[Tensor, "class kind"]

    def __init__(self, num_classes: int, kinds: int, dim: int, horizon: int = 100) -> None:
        super().__init__()
        self.horizon = horizon
        self.register_buffer("mean", torch.zeros(num_classes, kinds, dim))
        self.register_buffer("count", torch.zeros(num_classes, kinds, dtype=torch.int64))

    @torch.no_grad()
    def add(
        self, features: Float[Tensor, "batch class feature"], where: Bool[Tensor, "batch class kind"]
    ) -> None:
        """Move the means towards those of a batch.

        Args:
            features: One feature per image and class, of all processes.
            where: Membership of each feature in each kind.
        """
        arriving = where.sum(0)
        self.count += arriving
        with torch.autocast(features.device.type, enabled=False):
            batch = torch.einsum("bcd,bck->ckd", features.to(self.mean), where.to(self.mean))
        pace = (arriving / self.count.clamp(min=1, max=self.horizon)).clamp(max=1)[..., None]
        self.mean.lerp_(batch / arriving.clamp(min=1)[..., None], pace)
