"""One number for every label of every training image, for methods that keep scores or corrected labels per image."""

from typing import Any

import torch
from jaxtyping import Int64, Num
from torch import Tensor

from partlabel.transfer.by_row import ByRow


class ImageTable(ByRow):
    """Numbers by training row and class, saved with the method.

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
        if len(self.cells) == 0:
            return self.cells.new_full((len(rows), self.cells.shape[1]), self.start)
        there = (rows < len(self.cells))[:, None]
        return self.cells[rows.clamp(max=len(self.cells) - 1)].where(there, self.start)

    @torch.no_grad()
    def write(self, rows: Int64[Tensor, " batch"], values: Num[Tensor, "batch class"]) -> None:
        """Replace the cells of images."""
        self.reach(rows)
        self.cells[rows] = values.to(self.cells.dtype)

    @property
    def places(self) -> int:
        """Number of rows."""
        return len(self.cells)

    def allocate(self, places: int) -> None:
        """Allocate a number of rows."""
        more = self.cells.new_full((places - self.places, self.cells.shape[1]), self.start)
        self.cells = torch.cat([self.cells, more])

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        """Allocate the number of rows of the loaded state."""
        saved = state_dict.get(f"{prefix}cells")
        if saved is not None:
            self.cells = self.cells.new_zeros(len(saved), self.cells.shape[1])
            self.reallocated()
        super()._load_from_state_dict(state_dict, prefix, *rest)
