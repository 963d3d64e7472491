"""State with a place for every training image, which is the row of the image in the training table."""

from abc import abstractmethod

import torch
from jaxtyping import Int64
from torch import Tensor, nn


class ByRow(nn.Module):
    """State that holds something of every training image.

    Training says in advance how many images there are. Otherwise places are allocated as images arrive, for which a GPU
    is awaited in every step.
    """

    _is_reserved = False

    @property
    @abstractmethod
    def places(self) -> int:
        """Number of allocated places."""

    @abstractmethod
    def allocate(self, places: int) -> None:
        """Allocate a number of places, not smaller than the present one."""

    def reserve(self, images: int) -> None:
        """Allocate the places of all training images."""
        self.allocate(max(images, self.places))
        self._is_reserved = True

    @torch.no_grad()
    def reach(self, places: Int64[Tensor, " batch"]) -> None:
        """Allocate these places, with a reserve, so that allocation is rare."""
        if self._is_reserved:
            return
        wanted = int(places.max()) + 1
        if wanted > self.places:
            self.allocate(max(wanted, self.places + self.places // 2))

    def reallocated(self) -> None:
        """Note that a state with another number of places was loaded."""
        self._is_reserved = False
