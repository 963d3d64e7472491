"""Tiles: products that are not matrix products are done in pieces that stay in a core's cache.

A pass over memory that misses the cache takes three to ten times as long as one that hits it (docs/speed.md), and the
attention and the pairs of SST are many such passes over batch x classes x ... numbers that nobody needs afterwards.
"""

import torch
from torch import Tensor

CACHED = 2**17
"""Numbers of a tile per CPU thread: half a megabyte in float32, a few of which fit a second-level cache."""
LAUNCHED = 2**24
"""Numbers of a tile on other devices, where every operation costs a launch."""
KEPT = 2**26
"""Numbers that one operation may keep for its backward pass to save doing a product again."""


def tile_size(device: torch.device) -> int:
    """How many numbers a tile should have."""
    return CACHED * torch.get_num_threads() if device.type == "cpu" else LAUNCHED


def as_autocast(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors in the type that autocast multiplies matrices in, where it is on; of one type in any case."""
    kind = tensors[0].device.type
    if torch.is_autocast_enabled(kind):
        return tuple(tensor.to(torch.get_autocast_dtype(kind)) for tensor in tensors)
    return tuple(tensor.to(tensors[0].dtype) for tensor in tensors)


def sums_like(tensor: Tensor) -> Tensor:
    """Zeros of the tensor's shape to add many numbers to, in float32 at least."""
    return torch.zeros_like(tensor, dtype=torch.promote_types(tensor.dtype, torch.float32))
