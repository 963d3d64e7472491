"""Batches for training and evaluation. The order of images depends only on seed and epoch.

Lightning restores no random state (measured, 2.6.6) but tells a sampler the epoch; that is enough for a sampler that
derives its order from it, and a resumed run continues exactly where it stopped.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from partlabel.core import distributed
from partlabel.core.types import Batch
from partlabel.data.images.dataset import PLAIN, BatchRows


class Batches(Sampler[BatchRows]):
    """A batch sampler.

    In training every image is in one batch per epoch, in an order drawn for the epoch. A last batch of a single image,
    which batch normalisation cannot handle, joins the one before.

    In distributed training each process gets its slice of every batch, so that the slices in the order of the processes
    are the batch of one process; a last batch of fewer than two images per process joins the one before. In evaluation
    each process gets its part of the images, in order and none twice.

    Args:
        count: Number of images.
        batch_size: Images per batch; in training, over all processes.
        shuffle: Whether this is for training.
        seed: Random seed of the order.
        share: Whether processes share the images; otherwise each gets all of them.
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
        """Set the next epoch; called by Lightning."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._parts(np.arange(self.count)))

    def __iter__(self) -> Iterator[BatchRows]:
        if not self.shuffle:
            yield from (BatchRows(PLAIN, rows.tolist()) for rows in self._parts(np.arange(self.count)))
            return
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count)
        yield from (BatchRows(self.epoch, rows.tolist()) for rows in self._parts(order))

    def _parts(self, order: np.ndarray) -> list[np.ndarray]:
        """Divide images, in a given order, into the batches of this process."""
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
        """Check that every process gets images.

        Raises:
            ValueError: A process would get none.
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
    """Build a loader for a dataset of whole batches.

    Args:
        dataset: Dataset of whole batches, whose length is the number of images.
        batch_size: Images per batch.
        shuffle: Whether this is for training.
        seed: Random seed of the order.
        workers: DataLoader worker processes; 0 loads in the main process.
        pin: Whether to pin memory for transfer to a GPU.
        share: Whether processes share the images; in training they do.
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
    """Return the argument (identity collate function): the dataset makes whole batches itself."""
    return batch
