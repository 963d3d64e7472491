"""A view of the feature cache in a folder of shards, while it is computed."""

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import numpy as np

from partlabel.data.cache import eviction, shard_file
from partlabel.data.cache.eviction import CachedView
from partlabel.data.cache.shard_file import Layout, Sharded


class ShardView:
    """A view as `FeatureView` describes it, in a folder of shards.

    Args:
        held: Folder of the view; it is kept as long as this object lives.
        images: Hash of each image's bytes.
        layout: Size, and division into shards.
    """

    def __init__(self, held: CachedView, images: Sequence[str], layout: Layout) -> None:
        self.held = held
        self.images = images
        self.layout = layout

    def computing(self) -> AbstractContextManager[None]:
        """Exclude other processes from computing this view."""
        return eviction.computing(self.held)

    def missing(self, readable: Sequence[bool]) -> list[int]:
        """List the shards that are missing or damaged, or lack a readable image; warn of damaged ones."""
        folder, wanted = self.held.path, []
        for number in range(self.layout.shards):
            if found := shard_file.fault(folder, self.layout, number):
                wanted.append(number)
                if found != "missing":
                    warnings.warn(
                        f"{shard_file.shard_path(folder, number)} is damaged ({found}) and is computed again",
                        stacklevel=3,
                    )
        if not wanted and any(readable):
            shards = Sharded(folder)
            rows = [row for row, good in enumerate(readable) if good and shards.is_nan(row)]
            return sorted({row // self.layout.per_shard for row in rows})
        return wanted

    def write(self, shard: int) -> AbstractContextManager[Callable[[np.ndarray], None]]:
        """Return a block that yields a function that writes the next rows of a shard."""
        shape = (len(self.layout.of(shard)), *self.layout.shape)
        return shard_file.written(shard_file.shard_path(self.held.path, shard), shape)
