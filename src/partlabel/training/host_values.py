"""Values of training steps on the host, without waiting for the device that computes them.

Reading a value from a GPU waits until the GPU has finished everything that was asked of it, and the GPU is then idle
until the next step is asked for. Here the copy is asked for at once, and read some steps later, when it has long
arrived.
"""

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

T = TypeVar("T")

LAG = {"cuda": 2}
"""Number of steps after which a copy is read, by type of device; 0 where there is nothing to wait for."""


class HostValues(Generic[T]):
    """Copies of values on the host, the oldest first, each with what it is about.

    Processes that train together read the values of the same steps in the same step.
    """

    def __init__(self) -> None:
        self._asked: deque[tuple[Tensor, torch.cuda.Event | None, T]] = deque()

    def add(self, values: Float[Tensor, " value"], about: T) -> Iterator[tuple[Float[Tensor, " value"], T]]:
        """Ask for a copy, and return the copies that are due.

        Args:
            values: Values of a step.
            about: What the values are about, which is returned with the copy.
        """
        self._asked.append((*_asked(values), about))
        return self._read(LAG.get(values.device.type, 0))

    def rest(self) -> Iterator[tuple[Float[Tensor, " value"], T]]:
        """Wait for all copies that have been asked for, and return them."""
        return self._read(0)

    def _read(self, left: int) -> Iterator[tuple[Tensor, T]]:
        while len(self._asked) > left:
            copy, arrival, about = self._asked.popleft()
            if arrival is not None:
                arrival.synchronize()
            yield copy, about


def _asked(values: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
    """Ask for a copy; return its place, and the event of its arrival where it is not there yet."""
    if values.device.type != "cuda":
        return values if values.device.type == "cpu" else values.cpu(), None
    copy = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
    copy.copy_(values, non_blocking=True)
    arrival = torch.cuda.Event()
    arrival.record()
    return copy, arrival
