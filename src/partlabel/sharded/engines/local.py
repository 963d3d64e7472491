"""The local engine: one process, one shard after the other."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from partlabel.sharded.engines._base import Engine

if TYPE_CHECKING:
    from partlabel.sharded import Job, ShardResult


class Local(Engine):
    """One shard after the other, in this process.

    Args:
        shard_size: Number of images in a shard, where the input is not in shards.
    """

    def __init__(self, shard_size: int = 1000) -> None:
        self.shard_size = shard_size

    def run(self, job: "Job", shards: Sequence[str]) -> "Iterator[ShardResult]":
        """Process the shards in order."""
        from partlabel.sharded import Worker

        if shards:
            yield from map(Worker(job), shards)
