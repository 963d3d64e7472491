"""A request to the feature cache: the images, and all that their features depend on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn
from torchvision.transforms import v2

from partlabel.data.cache import pooling_store
from partlabel.data.cache.feature_store import ShardStore
from partlabel.data.cache.interface import FeatureStore
from partlabel.data.cache.pass_images import Looks
from partlabel.data.cache.shard_file import Layout
from partlabel.data.images.dataset import ImageDataset
from partlabel.data.tables.label_table import LabelTable
from partlabel.nn.backbone import Backbone

MADE = 3
"""Version of the computation of features; a change, for instance in decoding, invalidates older views."""
SHARD_IMAGES, SHARD_BYTES, SHARDS = 1024, 1 << 28, 64


@dataclass(frozen=True, eq=False)
class CacheRequest:
    """A request to the cache.

    Attributes:
        backbone: Backbone with a stem.
        table: Images.
        transforms: Transform of each view.
        size: Side of the images in pixels.
        home: Folder of the cache.
        workers: DataLoader worker processes; 0 loads in the main process.
        limit: Maximum size of the folder in bytes; None for no limit.
        shape: Shape of an image's features.
        per_shard: Images per shard; None: chosen by size.
        hashes: Hash of each image's bytes; None if the file cannot be read at all.
    """

    backbone: Backbone
    table: LabelTable
    transforms: Sequence[v2.Transform]
    size: int
    home: Path
    workers: int
    limit: int | None
    shape: tuple[int, ...]
    per_shard: int | None
    hashes: Sequence[str | None]

    @property
    def store(self) -> FeatureStore:
        """The store that has the features."""
        return ShardStore(self.home)

    @cached_property
    def images(self) -> dict[str, int]:
        """First row of each hash."""
        first: dict[str, int] = {}
        for row, each in enumerate(self.hashes):
            if each is not None:
                first.setdefault(each, row)
        return first

    @cached_property
    def makers(self) -> list[str]:
        """Hash, for each view, of all that its features depend on except the images."""
        return self._makers(self.backbone.stem)

    @cached_property
    def bodies(self) -> list[dict[str, Any]]:
        """For each view of pooled features: maker of the maps before pooling, and how many features are means."""
        pooling = self.backbone.pooling
        if pooling is None:
            return [{} for _ in self.transforms]
        makers = self._makers(self.backbone.stem[:-1])  # type: ignore[index]
        return [{"maker_of_maps": maker, "means": pooling.mean_channels} for maker in makers]

    def _makers(self, stem: nn.Module) -> list[str]:
        weights = pooling_store.weights_digest(stem).hex()
        return [
            blake2b(
                f"{MADE} {self.size} {stem} {weights} {number} {transform}".encode(), digest_size=16
            ).hexdigest()
            for number, transform in enumerate(self.transforms)
        ]

    def layout(self, images: int) -> Layout:
        """Return the layout of a view: shards of up to 1,024 images and 256 MB; larger ones beyond 64 shards."""
        rows = min(SHARD_IMAGES, max(SHARD_BYTES // (2 * int(np.prod(self.shape))), 1))
        return Layout(images, self.shape, self.per_shard or max(rows, ceil(images / SHARDS)))

    def pooling_file(self, images: Sequence[str]) -> Path:
        """Return the file of the pooling that was fitted on images."""
        body, pooling = self.backbone.stem[:-1], self.backbone.pooling  # type: ignore[index]
        assert pooling is not None
        return pooling_store.path_of(
            self.home, body, pooling, f"{MADE} {self.size} {self.transforms[0]}", images
        )

    def looks(self) -> Looks:
        """Return the dataset of images; augmentations are seeded by an image's bytes, whatever table it is in."""
        augment = self.transforms[1] if len(self.transforms) > 1 else None
        draws = [0 if each is None else int(each[:8], 16) for each in self.hashes]
        return Looks(ImageDataset(self.table, self.transforms[0], augment, self.size, draws=draws))
