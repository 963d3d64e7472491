"""Splicing of images, or of feature maps, to grids (SpliceMix), and the cells of a grid."""

from collections.abc import Iterator
from itertools import accumulate, pairwise

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d


def splice(
    images: Float[Tensor, "all channel height width"],
    chosen: Int64[Tensor, "grid cell"],
    kept: Bool[Tensor, "grid cell"],
    shape: tuple[int, int],
) -> Float[Tensor, "grid channel height width"]:
    """Fill grids with down-sampled images, row by row; empty cells have the mean of all images, per channel.

    Args:
        images: Images, or feature maps.
        chosen: Row of the image in each cell of each grid.
        kept: Whether a cell shows its image.
        shape: Rows and columns of the grids.
    """
    empty = images.mean((0, 2, 3))[:, None, None]
    heights, widths = (parts(side, count) for side, count in zip(images.shape[2:], shape, strict=True))
    lines = []
    for row, height in enumerate(heights):
        line = []
        for column, width in enumerate(widths):
            cell = row * shape[1] + column
            small = adaptive_avg_pool2d(images[chosen[:, cell]], (height, width))
            line.append(torch.where(kept[:, cell, None, None, None], small, empty))
        lines.append(torch.cat(line, 3))
    return torch.cat(lines, 2)


def cut_cells(
    maps: Float[Tensor, "grid channel height width"], shape: tuple[int, int]
) -> Iterator[Float[Tensor, "grid channel cell_height cell_width"]]:
    """Cut maps into the cells of a grid, row by row."""
    rows, columns = (
        list(pairwise(accumulate(parts(side, count), initial=0)))
        for side, count in zip(maps.shape[2:], shape, strict=True)
    )
    return (maps[:, :, top:bottom, left:right] for top, bottom in rows for left, right in columns)


def parts(side: int, count: int) -> list[int]:
    """Divide a side into lengths that differ by 1 at most."""
    return [side * (n + 1) // count - side * n // count for n in range(count)]
