"""The Ray engine: Ray Data (https://docs.ray.io/en/latest/data/data.html) distributes the shards over a cluster.

Only names of shards and their results pass through Ray; images and results are read and written by the workers, so all
machines must see the same folders, under the same names.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING, Any

from partlabel.core.errors import first_line
from partlabel.core.quiet_logs import quiet_logs
from partlabel.sharded.engines._base import Engine

if TYPE_CHECKING:
    from partlabel.sharded import Job, ShardResult

_BLOCKS = 4096
_STORE = 100 << 20  # bytes for names and outcomes, on a cluster of our own


class Ray(Engine):
    """Ray Data: each worker holds the model once, and processes one shard after the other.

    Args:
        shard_size: Number of images in a shard, where the input is not in shards.
        workers: Number of workers; by default as many as the cluster has room for.
        cpus: Cores of each worker.
        gpus: GPUs of each worker; with any, the model is on one.
        address: Address of the cluster, as `ray.init` takes it; by default a cluster on this machine.

    Raises:
        ImportError: Ray is not installed; the message has the command.
    """

    def __init__(
        self,
        shard_size: int = 1000,
        workers: int | None = None,
        cpus: float = 1.0,
        gpus: float = 0.0,
        address: str | None = None,
    ) -> None:
        try:
            import ray.data  # noqa: F401
        except ImportError as error:
            raise ImportError("the engine ray needs Ray Data: pip install 'partlabel[ray]'") from error
        self.shard_size = shard_size
        self.workers = workers
        self.cpus = cpus
        self.gpus = gpus
        self.address = address

    def run(self, job: "Job", shards: Sequence[str]) -> "Iterator[ShardResult]":
        """Process the shards on the cluster.

        Raises:
            OSError: A worker raised one.
        """
        import ray.data

        from partlabel.sharded import ShardResult

        if not shards:
            return
        with self._cluster(), quiet_logs("ray.data"):
            ray.data.DataContext.get_current().enable_progress_bars = False
            actor: Any = _Actor  # a class that Ray makes one of in each worker
            work = ray.data.from_items(
                [{"shard": shard} for shard in shards], override_num_blocks=min(len(shards), _BLOCKS)
            ).map(
                actor,
                fn_constructor_args=(job, "cuda" if self.gpus else "cpu"),
                compute=ray.data.ActorPoolStrategy(size=self.workers) if self.workers else None,
                num_cpus=self.cpus,
                num_gpus=self.gpus,
            )
            for row in work.iter_rows():
                if stopped_by := row.pop("stopped_by"):
                    raise OSError(stopped_by)
                yield ShardResult(**row)

    @contextmanager
    def _cluster(self) -> Iterator[None]:
        """Connect to the caller's cluster, to that of the address, or start one on this machine."""
        import ray

        if ray.is_initialized():
            yield
            return
        alone = self.address is None and "RAY_ADDRESS" not in os.environ
        # No usage statistics are sent.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ours: dict[str, Any] = {
            "num_cpus": self._cores(),
            "object_store_memory": _STORE,
            "include_dashboard": False,
        }
        where = "on this machine" if alone else f"at {self.address or os.environ.get('RAY_ADDRESS')}"
        try:
            ray.init(
                self.address, log_to_driver=False, logging_level=logging.ERROR, **(ours if alone else {})
            )
        except Exception as error:  # Ray's own, of a dozen unrelated kinds
            raise OSError(
                f"Ray cannot be started or reached {where}: {first_line(error)}; see --engine.address, or give "
                "--engine local"
            ) from error
        try:
            yield
        finally:
            ray.shutdown()

    def _cores(self) -> int | None:
        """Return the number of cores that the workers need; all, if the number of workers is not given."""
        return None if self.workers is None else max(1, ceil(self.workers * self.cpus))


class _Actor:
    """A worker in its own process."""

    def __init__(self, job: "Job", device: str) -> None:
        from partlabel.sharded import Worker

        self.worker = Worker(job, device)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the result of a shard. Ray would pass an error on as text with its traceback, without its cause."""
        from partlabel.sharded import ShardResult

        try:
            return self.worker(row["shard"])._asdict() | {"stopped_by": ""}
        except OSError as error:
            return ShardResult(row["shard"], 0, "")._asdict() | {"stopped_by": str(error)}
