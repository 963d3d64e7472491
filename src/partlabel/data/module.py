"""Batches for training and evaluation. Which images come when hangs on the seed and the epoch alone.

Lightning restores no random state (measured, 2.6.6) but tells a sampler the epoch; that is enough for one that draws
its order from it, and a resumed run goes on exactly where it stopped.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import Any, TypeVar

import numpy as np
import torch.distributed
from torch.utils.data import DataLoader, Dataset, Sampler

from partlabel.data.images import Rows
from partlabel.methods import Batch

T = TypeVar("T")


class Batches(Sampler[Rows]):
    """The rows of each batch.

    In training every image comes once an epoch, in an order drawn for it. A last batch of a single image, which batch
    normalisation can make nothing of, joins the one before. Where several processes train together, each gets its
    share of the batches, a few images coming twice to make the shares equal. Evaluation takes all images in order.

    Args:
        count: How many images.
        batch_size: How many at a time.
        shuffle: Whether this is for training.
        seed: Of the order.
    """

    def __init__(self, count: int, batch_size: int, shuffle: bool = False, seed: int = 0) -> None:
        self.count = count
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next; Lightning does."""
        self.epoch = epoch

    def __len__(self) -> int:
        share = ceil(self.count / self._shares[1])
        return max(ceil(share / self.batch_size) - self._joined(share), 1)

    def __iter__(self) -> Iterator[Rows]:
        if not self.shuffle:
            yield from (Rows(-1, rows) for rows in self._cut(np.arange(self.count)))
            return
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count)
        rank, ranks = self._shares
        order = np.resize(order, ceil(self.count / ranks) * ranks)[rank::ranks]
        batches = self._cut(order)
        if self._joined(len(order)):
            single = batches.pop()
            batches[-1] += single
        yield from (Rows(self.epoch, rows) for rows in batches)

    @property
    def _shares(self) -> tuple[int, int]:
        if not self.shuffle or not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return 0, 1
        return torch.distributed.get_rank(), torch.distributed.get_world_size()

    def _joined(self, count: int) -> bool:
        return self.shuffle and count > self.batch_size > 1 and count % self.batch_size == 1

    def _cut(self, order: np.ndarray) -> list[list[int]]:
        return [order[at : at + self.batch_size].tolist() for at in range(0, len(order), self.batch_size)]


def loader(
    dataset: Dataset[Batch],
    batch_size: int,
    shuffle: bool = False,
    seed: int = 0,
    workers: int = 0,
    pin: bool = False,
) -> DataLoader[Batch]:
    """Batches of a dataset that takes `Rows`.

    Args:
        dataset: Its length is the number of images.
        batch_size: How many images at a time.
        shuffle: Whether this is for training.
        seed: Of the order.
        workers: Processes that read; 0 reads in this one.
        pin: Whether batches go on to a GPU.
    """
    batches = Batches(len(dataset), batch_size, shuffle, seed)  # type: ignore[arg-type]
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
