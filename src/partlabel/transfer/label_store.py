"""One number for every label of every training image, for methods that keep scores or corrected labels per image."""

from typing import Any

import torch
from jaxtyping import Int64, Num
from torch import Tensor, nn


class ImageTable(nn.Module):
    """Numbers by training row and class; it grows as images arrive, and is saved with the method.

    In distributed training each process has to write the rows of all processes, so that all hold the same table.

    Args:
        num_classes: Number of columns.
        start: Value of cells that have not been written.
        dtype: Type of the numbers.
    """

    cells: Num[Tensor, "image class"]

    def __init__(self, num_classes: int, start: float | int, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.start = start
        self.register_buffer("cells", torch.zeros(0, num_classes, dtype=dtype))

    @torch.no_grad()
    def read(self, rows: Int64[Tensor, " batch"]) -> Num[Tensor, "batch class"]:
        """Read the cells of images, by their rows in the training table."""
        found = self.cells.new_full((len(rows), self.cells.shape[1]), self.start)
        there = rows < len(self.cells)
        found[there] = self.cells[rows[there]]
        return found

    @torch.no_grad()
    def write(self, rows: Int64[Tensor, " batch"], values: Num[Tensor, "batch class"]) -> None:
        """Replace the cells of images."""
        self._reach(rows)
        self.cells[rows] = values.to(self.cells.dtype)

    def _reach(self, rows: Int64[Tensor, " batch"]) -> None:
        """Allocate these rows, with a reserve, so that allocation is rare."""
        more = int(rows.max()) + 1 - len(self.cells)
        if more > 0:
            room = max(more, len(self.cells) // 2)
            self.cells = torch.cat([self.cells, self.cells.new_full((room, self.cells.shape[1]), self.start)])

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Allocate the number of rows of the loaded state."""
        saved = state_dict.get(f"{prefix}cells")
        if saved is not None:
            self.cells = self.cells.new_zeros(len(saved), self.cells.shape[1])
        super()._load_from_state_dict(state_dict, prefix, *rest)
