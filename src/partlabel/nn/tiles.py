"""Tiles: products that are not matrix products are computed in pieces that stay in a core's cache.

A pass over memory that misses the cache takes three to ten times as long as one that hits it (docs/speed.md), and the
attention and the pairs of SST are many such passes over batch x classes x ... temporary values.
"""

import torch
from torch import Tensor

CACHED = 2**17
"""Numbers in a tile per CPU thread: half a megabyte in float32; a few tiles fit in a second-level cache."""
LAUNCHED = 2**24
"""Size of a tile on other devices, where every operation costs a launch."""
KEPT = 2**26
"""Maximum number of values that an operation keeps for its backward pass to avoid recomputing a product."""


def tile_size(device: torch.device) -> int:
    """Choose the size of a tile, in numbers."""
    return CACHED * torch.get_num_threads() if device.type == "cpu" else LAUNCHED


def as_autocast(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Cast tensors to autocast's type for matrix products, where it is on, and to one common type."""
    kind = tensors[0].device.type
    if torch.is_autocast_enabled(kind):
        return tuple(tensor.to(torch.get_autocast_dtype(kind)) for tensor in tensors)
    return tuple(tensor.to(tensors[0].dtype) for tensor in tensors)


def sums_like(tensor: Tensor) -> Tensor:
    """Allocate zeros of the tensor's shape as an accumulator, in float32 at least."""
    return torch.zeros_like(tensor, dtype=torch.promote_types(tensor.dtype, torch.float32))
