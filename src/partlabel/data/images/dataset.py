"""Image datasets and their transforms for training and evaluation (`broken.py` finds images that cannot be read).

An augmentation is drawn from the run's seed, the epoch and the image only, not from the process that draws it: with any
number of workers, and after resuming, an image is augmented in the same way.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2

from partlabel.core.types import Batch, Preprocessing
from partlabel.data.images.broken import Broken, NoneReadable, find_broken, skip
from partlabel.data.images.pixels import pixels
from partlabel.data.images.threads import in_threads
from partlabel.data.tables.label_table import LabelTable

__all__ = [
    "Augment",
    "BatchRows",
    "Broken",
    "ImageDataset",
    "NoneReadable",
    "draw_seed",
    "eval_transform",
    "find_broken",
]
__all__ += ["skip", "train_transform"]

Augment = Literal["light", "paper", "none"]
BICUBIC = v2.InterpolationMode.BICUBIC


View = int | Literal["plain"]
PLAIN: Literal["plain"] = "plain"


class BatchRows(NamedTuple):
    """Request of a sampler to a dataset.

    Attributes:
        view: View of the images: that of an epoch of training (from 0), or `plain`, without augmentation.
        rows: Rows of the table.
    """

    view: View
    rows: list[int]


def eval_transform(size: int, preprocessing: Preprocessing) -> v2.Transform:
    """Resize to a square of side `size` without keeping the aspect ratio, bicubic, and normalise, as the authors do."""
    return v2.Compose([_squash(size), *_finish(preprocessing)])


def train_transform(size: int, preprocessing: Preprocessing, scheme: Augment = "light") -> v2.Transform:
    """Create the augmentation for training.

    Args:
        size: Side of the output in pixels.
        preprocessing: Normalisation of the backbone.
        scheme: `paper`: resize to 8/7 of the size, crop a square of 8/7, 7/7, 6/7, 5/7 or 4/7, resize, flip (512 and
            {512, 448, 384, 320, 256} at 448, as the authors). `light`: a random crop of at least half the area, flip.
            `none`: as in evaluation.
    """
    if scheme == "none":
        return eval_transform(size, preprocessing)
    if scheme == "light":
        crop = [v2.RandomResizedCrop(size, scale=(0.5, 1), ratio=(0.8, 1.25), interpolation=BICUBIC)]
    else:
        sides = [round(size * part / 7) for part in (8, 7, 6, 5, 4)]
        crop = [_squash(sides[0]), v2.RandomChoice([v2.RandomCrop(side) for side in sides]), _squash(size)]
    return v2.Compose([*crop, v2.RandomHorizontalFlip(), *_finish(preprocessing)])


def _squash(size: int) -> v2.Transform:
    return v2.Resize((size, size), BICUBIC)


def _finish(preprocessing: Preprocessing) -> list[v2.Transform]:
    return [
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(list(preprocessing.mean), list(preprocessing.std)),
    ]


def draw_seed(*parts: int) -> int:
    """Combine several numbers into one seed, different for different numbers."""
    return int(np.random.SeedSequence([part % 2**32 for part in parts]).generate_state(1, np.uint64)[0] >> 1)


class ImageDataset(Dataset[Batch]):
    """Whole batches of images of a table, plain or augmented.

    Args:
        table: Table with an image folder.
        plain: Transform for evaluation.
        augment: Transform for training; None for plain images only.
        size: Side in pixels of the transforms' output.
        seed: Random seed of the augmentation.
        leave_out: Whether to leave out images of a batch that cannot be read.
        draws: Number of each row that the random draws depend on, besides seed and epoch; default: the row.
    """

    def __init__(
        self,
        table: LabelTable,
        plain: v2.Transform,
        augment: v2.Transform | None = None,
        size: int = 224,
        seed: int = 0,
        leave_out: bool = False,
        draws: Sequence[int] | None = None,
    ) -> None:
        self.paths = [table.path(row) for row in range(len(table))]
        self.labels = torch.from_numpy(np.array(table.labels))
        self.plain = plain
        self.augment = augment
        self.size = size
        self.seed = seed
        self.leave_out = leave_out
        self.draws = range(len(table)) if draws is None else draws

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, asked: BatchRows) -> Batch:
        """Read some rows as a batch."""
        images, rows = [], []
        for row, found in self.decoded(asked.rows):
            if not isinstance(found, OSError):
                images.append(self.seen(found, asked.view, row))
                rows.append(row)
            elif not self.leave_out:
                raise found
        index = torch.tensor(rows, dtype=torch.int64)
        stacked = torch.stack(images) if images else torch.zeros(0, 3, self.size, self.size)
        return Batch(stacked, self.labels[index], index)

    def image(self, view: View, row: int) -> Float[Tensor, "3 height width"]:
        """Read an image and transform it for a view."""
        return self.seen(self.pixels(row), view, row)

    def seen(
        self, pixels: UInt8[Tensor, "3 height width"], view: View, row: int
    ) -> Float[Tensor, "3 size size"]:
        """Transform the pixels of an image file for a view."""
        if self.augment is None or view == PLAIN:
            return self.plain(pixels)
        with torch.random.fork_rng(devices=[]):
            # `torch.manual_seed` would also queue a seeding of every other device, which nothing here draws from.
            torch.default_generator.manual_seed(draw_seed(self.seed, view, self.draws[row]))
            return self.augment(pixels)

    def decoded(self, rows: Sequence[int]) -> Iterator[tuple[int, UInt8[Tensor, "3 height width"] | OSError]]:
        """Decode images, in as many threads as PyTorch has; yield each row with its pixels, or with its error."""
        return zip(rows, in_threads(self._pixels_or_error, rows, torch.get_num_threads()), strict=True)

    def _pixels_or_error(self, row: int) -> Tensor | OSError:
        try:
            return self.pixels(row)
        except OSError as error:
            return error

    def pixels(self, row: int) -> UInt8[Tensor, "3 height width"]:
        """Decode an image; a large one at a reduced size of at least twice the dataset's."""
        return torch.from_numpy(pixels(self.paths[row], 2 * self.size)).permute(2, 0, 1)
