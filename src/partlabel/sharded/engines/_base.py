"""Base class of the engines."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partlabel.sharded import Job, ShardResult


class Engine(ABC):
    """Runs workers on shards.

    Attributes:
        shard_size: Number of images in a shard, where the input is not in shards.
    """

    shard_size: int

    @abstractmethod
    def run(self, job: "Job", shards: Sequence[str]) -> "Iterator[ShardResult]":
        """Process shards, in any order.

        Args:
            job: The job; `Worker(job)` processes a shard.
            shards: Names of the shards' files.
        """
