"""What an engine is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partlabel.sharded import Job, ShardResult


class Engine(ABC):
    """Has shards worked on.

    Attributes:
        shard_size: Images in a shard, where the input does not come in shards.
    """

    shard_size: int

    @abstractmethod
    def run(self, job: "Job", shards: Sequence[str]) -> "Iterator[ShardResult]":
        """Work on shards, in any order.

        Args:
            job: What is done: `shards.Worker(job)` does it.
            shards: The names of their files.
        """
