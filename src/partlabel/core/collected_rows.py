"""Rows of tensors that are collected batch by batch, and then used all at once, such as scores of validation images."""

import torch
from torch import Tensor

from partlabel.core import distributed


class CollectedRows:
    """Tensors with one row per image, of all batches since the last `take`; they are not saved with a model."""

    def __init__(self) -> None:
        self._batches: list[tuple[Tensor, ...]] = []

    def __len__(self) -> int:
        return sum(len(batch[0]) for batch in self._batches)

    def add(self, *tensors: Tensor) -> None:
        """Collect the rows of a batch."""
        self._batches.append(tensors)

    def take(self) -> tuple[Tensor, ...]:
        """Return the rows of all batches and all processes, and forget them."""
        collected = distributed.all_gather_rows(*map(torch.cat, zip(*self._batches, strict=True)))
        self._batches.clear()
        return tuple(collected)
