"""Features remembered during training: the last features of each class, or images with their labels.

All of it, counters included, is in buffers, so that a resumed run continues with the same memory.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int8, Int64
from torch import Tensor, nn
from torch.nn.functional import normalize

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.targets import Labels
from partlabel.transfer.by_row import ByRow
from partlabel.transfer.kernel_density import STORED_AT_ONCE, kernel_sums, log_density

AT_ONCE = 1024
"""Images compared with a memory at a time where a whole table is compared."""


def in_parts(
    compare: Callable[[Tensor, float, Tensor], Float[Tensor, "part class"]],
    features: Float[Tensor, "image feature"],
    sharpness: float,
    rows: Int64[Tensor, " image"],
) -> Float[Tensor, "image class"]:
    """Compare many images with a memory, `AT_ONCE` at a time, by `ImageMemory.evidence` or `SoftMemory.votes`.

    Args:
        compare: Method of the memory.
        features: One feature per image.
        sharpness: Sharpness of the kernel.
        rows: Row of each image in the training table; -1 for an image that is not stored.
    """
    parts = zip(features.split(AT_ONCE), rows.split(AT_ONCE), strict=True)
    return torch.cat([compare(part, sharpness, own) for part, own in parts])


def mean_cosine(
    features: Float[Tensor, "batch class feature"],
    bank: Float[Tensor, "class slot feature"],
    by: Int64[Tensor, " class"],
) -> Float[Tensor, "batch class"]:
    """Compute the mean cosine between each feature and those of its class in a bank.

    It is a dot product with the mean unit feature, computed in the bank's precision under autocast too: thresholds lie
    close to 1, where bfloat16 has steps of .004, and the inverse length of an empty slot is unbounded in float16.

    Args:
        features: One feature per image and class.
        bank: Features by class and slot; zeros have a cosine of 0 with everything.
        by: Divisor of the sum over the slots of each class; 0 gives 0.
    """
    with torch.autocast(features.device.type, enabled=False):
        mean = mean_direction(bank, by)
        return torch.einsum("bcd,cd->bc", normalize(features.to(mean.dtype), dim=-1), mean)


def class_cosines(
    features: Float[Tensor, "batch class feature"],
    bank: Float[Tensor, "class slot feature"],
    by: Int64[Tensor, " class"],
) -> Float[Tensor, "batch class class"]:
    """Compute the mean cosine between each feature and those of every class (last) in a bank, as `mean_cosine` does."""
    with torch.autocast(features.device.type, enabled=False):
        mean = mean_direction(bank, by)
        return normalize(features.to(mean.dtype), dim=-1) @ mean.T


def mean_direction(
    bank: Float[Tensor, "class slot feature"], by: Int64[Tensor, " class"]
) -> Float[Tensor, "class feature"]:
    """Compute the mean of the features of each class at unit length; a cosine with it is a mean cosine.

    Args:
        bank: Features by class and slot.
        by: Divisor of the sum over the slots of each class; 0 gives 0.
    """
    inverse = torch.linalg.vector_norm(bank, dim=-1).clamp(min=1e-12).reciprocal()
    # One product per class: the bank, 80 MB at 200 classes, is read and never copied.
    return torch.bmm(inverse[:, None], bank).squeeze(1) / by.clamp(min=1)[:, None]


class Memory(nn.Module):
    """Base class of stores of features of single training images."""


class FeatureMemory(Memory):
    """A ring buffer of the last `size` features of every class (SST, AAAI 2022, cross-image transfer).

    Args:
        num_classes: Number of classes.
        size: Number of features kept per class (paper: 100).
        dim: Length of a feature.
    """

    features: Float[Tensor, "class slot feature"]
    count: Int64[Tensor, " class"]

    def __init__(self, num_classes: int, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("features", torch.zeros(num_classes, size, dim))
        self.register_buffer("count", torch.zeros(num_classes, dtype=torch.int64))

    @property
    def size(self) -> int:
        """Number of slots per class."""
        return self.features.shape[1]

    @property
    def filled(self) -> Int64[Tensor, " class"]:
        """Number of slots of each class that hold a feature."""
        return self.count.clamp(max=self.size)

    @torch.no_grad()
    def add(self, features: Float[Tensor, "batch class feature"], labels: Labels) -> None:
        """Store the features of labels that are known to be present, in place of the oldest ones.

        Within a batch the first image counts as the newest, as in the authors' code. As many slots of each class are
        written as a batch can fill, some with what they hold: no shape depends on the labels, so a GPU is not awaited.
        """
        present = (labels == PRESENT).T
        arriving, images = present.sum(1), present.shape[1]
        order = torch.where(present, present.flip(1).cumsum(1).flip(1) - 1, images)
        by_order = torch.arange(images, device=labels.device).expand_as(order)
        image_of = order.new_zeros(len(order), images + 1).scatter_(1, order, by_order)
        turn = torch.arange(min(images, self.size), device=labels.device)
        turn = turn + (arriving - self.size).clamp(min=0)[:, None]  # a batch may bring more than a ring holds
        slot, cls = (self.count[:, None] + turn) % self.size, torch.arange(len(order), device=labels.device)
        new = features[image_of.gather(1, turn), cls[:, None]].to(self.features.dtype)
        there = (turn < arriving[:, None])[..., None]
        self.features[cls[:, None], slot] = torch.where(there, new, self.features[cls[:, None], slot])
        self.count += arriving

    def similarity(
        self, features: Float[Tensor, "batch class feature"], count_empty_slots: bool = False
    ) -> Float[Tensor, "batch class"]:
        """Compute the mean cosine of each feature to the stored ones of its class; 0 for a class without any.

        Args:
            features: One feature per image and class.
            count_empty_slots: Divide by all slots, as the authors' code does, whose memory starts as zeros: scores of
                rare classes then stay low until `size` features have arrived.
        """
        by = torch.full_like(self.filled, self.size) if count_empty_slots else self.filled
        return mean_cosine(features, self.features, by)

    def newest_first(self) -> Float[Tensor, "class slot feature"]:
        """List the features from the newest to the oldest, zeros in empty slots."""
        back = torch.arange(1, self.size + 1, device=self.count.device)
        slot = (self.count[:, None] - back) % self.size
        return self.features.gather(1, slot[..., None].expand_as(self.features))


class ImageMemory(ByRow, Memory):
    """A store of images with their labels; each image is stored once, as it was seen last.

    One feature of an image serves all its classes, so that whole training sets fit: 16,384 images of 1,280 numbers take
    84 MB in memory and half of that on disk. Features are rounded to half precision on arrival, and kept in single
    precision, because every comparison reads all of them; a memory for more images keeps them in half. The slot of an
    image is its row in the training table: no image is stored twice, and an image can be excluded from its own
    evidence. Where there are more images than slots, the latest image takes the slot.

    Args:
        num_classes: Number of labels of an image.
        size: Maximum number of images.
        dim: Length of a feature.
    """

    features: Float[Tensor, "slot feature"]
    labels: Int8[Tensor, "slot class"]
    row: Int64[Tensor, " slot"]

    def __init__(self, num_classes: int, size: int, dim: int) -> None:
        super().__init__()
        self.size = size
        kept = torch.float32 if size <= STORED_AT_ONCE else torch.float16
        self.register_buffer("features", torch.zeros(0, dim, dtype=kept))
        self.register_buffer("labels", torch.zeros(0, num_classes, dtype=torch.int8))
        self.register_buffer("row", torch.zeros(0, dtype=torch.int64))

    @torch.no_grad()
    def add(
        self, features: Float[Tensor, "batch feature"], labels: Labels, rows: Int64[Tensor, " batch"]
    ) -> None:
        """Store images as unit vectors.

        Args:
            features: One feature per image.
            labels: Labels of the images; an image without known labels gives no evidence, but takes its slot.
            rows: Rows of the images in the training table.
        """
        slot = rows % self.size
        self.reach(slot)
        order = torch.arange(len(slot), device=slot.device)
        last = order.new_full((len(self.row),), -1).scatter_reduce(0, slot, order, "amax")[slot]
        # Images of one slot in one batch all write what the last of them brings.
        self.features[slot] = normalize(features[last].float(), dim=-1).half().to(self.features.dtype)
        self.labels[slot] = labels[last]
        self.row[slot] = rows[last]

    @torch.no_grad()
    def evidence(
        self,
        features: Float[Tensor, "batch feature"],
        sharpness: float,
        without: Int64[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "batch class"]:
        """Compute the log-likelihood ratio of images that show a class against images that lack it.

        `log mean_{k present} exp(s cos(x, k)) - log mean_{k absent} exp(s cos(x, k))`: two kernel densities on the
        sphere. 0 for a class without stored images of one of the two kinds.

        Args:
            features: One feature per image.
            sharpness: s; the larger, the more the nearest neighbours dominate.
            without: The row of each image itself, where it may be stored; it is then excluded from the means and the
                counts.
        """
        if len(self.row) == 0:
            return features.new_zeros(features.shape[0], self.labels.shape[1], dtype=torch.float32)
        with torch.autocast(features.device.type, enabled=False):
            sums = kernel_sums(
                features,
                self.features,
                sharpness,
                self._kinds,
                lambda part: None if without is None else without[:, None] == self.row[part],
            )
            parts = range(0, len(self.row), STORED_AT_ONCE)
            counts = torch.stack([self._kinds(slice(at, at + STORED_AT_ONCE)).sum(0) for at in parts]).sum(0)
            densities, seen = [], []
            for kind, of, stored in zip((PRESENT, ABSENT), sums.chunk(2, 1), counts.chunk(2), strict=True):
                count = stored - self._own(without, kind)
                densities.append(log_density(of, count.clamp(min=1)))
                seen.append(count > 0)
            return (densities[0] - densities[1]) * (seen[0] & seen[1])

    def _kinds(self, part: slice) -> Float[Tensor, "slot kind"]:
        """Return, for a part of the images, 1 where a class is known present, and beside it where known absent."""
        return torch.cat([self.labels[part] == kind for kind in (PRESENT, ABSENT)], 1).float()

    def _own(
        self, rows: Int64[Tensor, " batch"] | None, kind: int
    ) -> Int64[Tensor, "batch class"] | Int64[Tensor, ""]:
        """Find the labels of a given kind that are stored of the images themselves."""
        if rows is None:
            return self.row.new_zeros(())
        slot = (rows % self.size).clamp(max=len(self.row) - 1)
        remembered = self.row[slot] == rows
        return ((self.labels[slot] == kind) & remembered[:, None]).long()

    @property
    def places(self) -> int:
        """Number of allocated slots."""
        return len(self.row)

    def allocate(self, places: int) -> None:
        """Allocate a number of slots, the maximum size at most."""
        more = min(places, self.size) - self.places
        if more > 0:
            self.features = torch.cat([self.features, self.features.new_zeros(more, self.features.shape[1])])
            self.labels = torch.cat(
                [self.labels, self.labels.new_full((more, self.labels.shape[1]), UNKNOWN)]
            )
            self.row = torch.cat([self.row, self.row.new_full((more,), -1)])

    def _save_to_state_dict(self, destination: dict[str, Tensor], prefix: str, keep_vars: bool) -> None:
        """Save features in half precision."""
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[f"{prefix}features"] = destination[f"{prefix}features"].half()

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Allocate the number of slots of the loaded state."""
        saved = state_dict.get(f"{prefix}row")
        if saved is not None:
            self.features = self.features.new_zeros(len(saved), self.features.shape[1])
            self.labels = self.labels.new_zeros(len(saved), self.labels.shape[1])
            self.row = self.row.new_zeros(len(saved))
            self.reallocated()
        super()._load_from_state_dict(state_dict, prefix, *rest)
