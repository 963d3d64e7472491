"""Batches for training and evaluation. Which images come when hangs on the seed and the epoch alone.

Lightning restores no random state (measured, 2.6.6) but tells a sampler the epoch; that is enough for one that draws
its order from it, and a resumed run goes on exactly where it stopped.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from partlabel.core import distributed
from partlabel.core.types import Batch
from partlabel.data.images.dataset import BatchRows

T = TypeVar("T")


class Batches(Sampler[BatchRows]):
    """The rows of each batch.

    In training every image comes once an epoch, in an order drawn for it. A last batch of a single image, which batch
    normalisation can make nothing of, joins the one before.

    Where several processes train together, each gets its slice of every batch, so that the slices in the order of the
    processes are the batch of one process; a last batch of fewer than two images a process joins the one before. Of
    images to evaluate each gets its part, in order and none twice.

    Args:
        count: How many images.
        batch_size: How many at a time; in training, in all processes together.
        shuffle: Whether this is for training.
        seed: Of the order.
        share: Whether processes that train together share the images; else each gets them all.
    """

    def __init__(
        self, count: int, batch_size: int, shuffle: bool = False, seed: int = 0, share: bool = False
    ) -> None:
        self.count = count
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.share = share or shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; Lightning does."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._parts(np.arange(self.count)))

    def __iter__(self) -> Iterator[BatchRows]:
        if not self.shuffle:
            yield from (BatchRows(-1, rows.tolist()) for rows in self._parts(np.arange(self.count)))
            return
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count)
        yield from (BatchRows(self.epoch, rows.tolist()) for rows in self._parts(order))

    def _parts(self, order: np.ndarray) -> list[np.ndarray]:
        """What of the images, in this order, this process gets at a time."""
        rank, count = distributed.rank_and_world_size() if self.share else (0, 1)
        self._check(count)
        if not self.shuffle:
            return self._cut(np.array_split(order, count)[rank])
        batches = self._cut(order)
        if len(batches) > 1 and self.batch_size >= 2 * count > len(batches[-1]):
            last = batches.pop()
            batches[-1] = np.concatenate([batches[-1], last])
        return [np.array_split(batch, count)[rank] for batch in batches]

    def _cut(self, order: np.ndarray) -> list[np.ndarray]:
        return [order[at : at + self.batch_size] for at in range(0, len(order), self.batch_size)]

    def _check(self, processes: int) -> None:
        """See that every process gets images.

        Raises:
            ValueError: One would not.
        """
        if processes > 1 and self.shuffle and min(self.batch_size, self.count) < 2 * processes:
            raise ValueError(
                f"{processes} processes share batches of {self.batch_size} out of {self.count} images, and each "
                "needs at least two at a time: give a larger batch_size (--batch-size), or fewer devices"
            )
        if processes > max(self.count, 1):
            raise ValueError(
                f"{processes} processes share {self.count} validation images, and each needs at least one: give "
                "a larger val (--val), or fewer devices"
            )


def loader(
    dataset: Dataset[Batch],
    batch_size: int,
    shuffle: bool = False,
    seed: int = 0,
    workers: int = 0,
    pin: bool = False,
    share: bool = False,
) -> DataLoader[Batch]:
    """Batches of a dataset that takes `Rows`.

    Args:
        dataset: Its length is the number of images.
        batch_size: How many images at a time.
        shuffle: Whether this is for training.
        seed: Of the order.
        workers: Processes that read; 0 reads in this one.
        pin: Whether batches go on to a GPU.
        share: Whether processes that train together share the images; in training they do.
    """
    batches = Batches(len(dataset), batch_size, shuffle, seed, share)  # type: ignore[arg-type]
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pin,
        collate_fn=as_it_is,
    )


def as_it_is(batch: Any) -> Any:
    """What the dataset gave: it makes whole batches itself."""
    return batch


def ahead(things: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The same things, the next ones made in a thread while one is worked on.

    Reading images leaves Python to others most of the time, so that they are read while a network runs. Only for what
    draws no random numbers while somebody else does: threads share one generator.

    Args:
        things: What is gone through.
        depth: How many are made before they are asked for, at most.
    """
    iterator, end = iter(things), object()
    pool = ThreadPoolExecutor(1)
    try:
        waiting = deque(pool.submit(next, iterator, end) for _ in range(depth))
        while (thing := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, iterator, end))
            yield thing  # type: ignore[misc]
    finally:
        pool.shutdown(cancel_futures=True)
