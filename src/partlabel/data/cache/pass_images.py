"""Images for the pass over a table: each is decoded once, and transformed for all views that need it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from partlabel.data.images.dataset import PLAIN, ImageDataset
from partlabel.data.images.loader import as_it_is
from partlabel.data.images.threads import ahead


class Seen(NamedTuple):
    """The images of a batch.

    Attributes:
        images: Transformed images of the requested rows, by view; black where an image cannot be read.
        faults: Error of images that cannot be read, by row.
    """

    images: dict[int, Float[Tensor, "photo 3 height width"]]
    faults: dict[int, OSError]


class Looks(Dataset[Seen]):
    """Images of a table, each decoded once and transformed for several views.

    Args:
        photos: Images and their transforms; the draws of an augmentation depend on the view and the image only.
    """

    def __init__(self, photos: ImageDataset) -> None:
        self.photos = photos

    def __getitem__(self, asked: Mapping[int, Sequence[int]]) -> Seen:
        """Read rows.

        Args:
            asked: Numbers of the views that need a row, by row.
        """
        images: dict[int, list[Tensor]] = {}
        faults: dict[int, OSError] = {}
        for row, pixels in self.photos.decoded([row for row, numbers in asked.items() if numbers]):
            if isinstance(pixels, OSError):
                faults[row] = OSError(str(pixels))
            for number in asked[row]:
                images.setdefault(number, []).append(
                    torch.zeros(3, self.photos.size, self.photos.size)
                    if isinstance(pixels, OSError)
                    else self.photos.seen(pixels, number or PLAIN, row)
                )
        return Seen({number: torch.stack(each) for number, each in images.items()}, faults)

    def batches(
        self, asked: Sequence[Mapping[int, Sequence[int]]], workers: int
    ) -> Iterator[tuple[Mapping[int, Sequence[int]], Seen]]:
        """Yield batches of rows and their images; the next batches are read in the meantime."""
        read = DataLoader(self, None, sampler=asked, num_workers=workers, collate_fn=as_it_is)
        return zip(asked, ahead(read), strict=True)
