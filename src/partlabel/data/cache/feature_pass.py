"""The pass over images that fills the feature cache: each image is decoded once, for all views that need it.

The pass also finds images that cannot be read. If the backbone's pooling is not fitted yet, it is fitted on a sample
first, and the sample's feature maps are kept, so that those images are not decoded a second time.
"""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float16, Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from partlabel.core.progress_bar import progress
from partlabel.data.cache import shard_file
from partlabel.data.cache.eviction import CachedView
from partlabel.data.cache.shard_file import Layout
from partlabel.data.images.dataset import PLAIN, ImageDataset
from partlabel.data.images.loader import ahead, as_it_is
from partlabel.nn.backbone import Backbone

BATCH = 64
FITTED_ON, FITTED_AT_ONCE = 512, 8
"""Images that a pooling is fitted on, and images per batch."""
HELD_BYTES = 512 * 2**20
"""Maximum bytes of feature maps kept in a temporary file after the fit of the pooling."""


class Want(NamedTuple):
    """A view that lacks shards.

    Attributes:
        number: Number of the view: 0 without augmentation, others augmented.
        view: Folder of the view.
        layout: Layout of its shards.
        rows: Rows of the table in the view, ascending.
        shards: Numbers of the missing shards, ascending.
    """

    number: int
    view: CachedView
    layout: Layout
    rows: Int[np.ndarray, " image"]
    shards: list[int]

    def wanted(self) -> Iterator[range]:
        """Yield the positions in `rows` of each missing shard."""
        return (self.layout.of(shard) for shard in self.shards)


@dataclass
class Held:
    """Feature maps that were computed when the pooling was fitted.

    Attributes:
        maps: Maps of each image and view, in a file that is deleted with this object.
        places: Index in `maps`, by row of the table; all views of such a row are there.
        faults: Error of images that cannot be read, by row of the table.
    """

    maps: Float[np.ndarray, "photo view channel height width"] | None = None
    places: dict[int, int] = field(default_factory=dict)
    faults: dict[int, OSError] = field(default_factory=dict)


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
        for row, numbers in asked.items():
            try:
                pixels = self.photos.pixels(row) if numbers else None
            except OSError as error:
                pixels, faults[row] = None, OSError(str(error))
            for number in numbers:
                images.setdefault(number, []).append(
                    torch.zeros(3, self.photos.size, self.photos.size)
                    if pixels is None
                    else self.photos.seen(pixels, number or PLAIN, row)
                )
        return Seen({number: torch.stack(each) for number, each in images.items()}, faults)

    def batches(
        self, asked: Sequence[Mapping[int, Sequence[int]]], workers: int
    ) -> Iterator[tuple[Mapping[int, Sequence[int]], Seen]]:
        """Yield batches of rows and their images; the next batches are read in the meantime."""
        read = DataLoader(self, None, sampler=asked, num_workers=workers, collate_fn=as_it_is)
        return zip(asked, ahead(read), strict=True)


def fit_pooling_on_photos(
    backbone: Backbone, looks: Looks, rows: Int[np.ndarray, " photo"], views: int, workers: int, home: Path
) -> Held:
    """Fit the pooling at the end of the backbone's stem, and keep the feature maps.

    Args:
        backbone: Backbone; its pooling is changed.
        looks: Images.
        rows: Rows to fit on.
        views: Number of views to keep per image.
        workers: Processes that read images.
        home: Folder of the temporary file.
    """
    held = Held()
    assert backbone.pooling is not None
    asked = [
        {int(row): range(views) for row in rows[at : at + FITTED_AT_ONCE]}
        for at in range(0, len(rows), FITTED_AT_ONCE)
    ]
    backbone.pooling.fit(_fitting(backbone, looks.batches(asked, workers), held, len(rows), views, home))
    return held


@torch.no_grad()
def _fitting(
    backbone: Backbone,
    batches: Iterator[tuple[Mapping[int, Sequence[int]], Seen]],
    held: Held,
    photos: int,
    views: int,
    home: Path,
) -> Iterator[Tensor]:
    device = next(backbone.parameters()).device
    most = 0
    with progress("Fitting the pooling", photos, "photos") as advance:
        for asked, seen in batches:
            maps = [backbone.maps(seen.images[number].to(device)) for number in range(views)]
            if held.maps is None:
                shape = (views, *maps[0].shape[1:])
                most = min(photos, HELD_BYTES // (4 * int(np.prod(shape))))
                held.maps = _spilled((most, *shape), home)
            held.faults |= seen.faults
            for at, row in enumerate(asked):
                if row not in seen.faults and len(held.places) < most:
                    place = held.places.setdefault(row, len(held.places))
                    for number in range(views):
                        held.maps[place, number] = maps[number][at].cpu().numpy()
            kept = [at for at, row in enumerate(asked) if row not in seen.faults]
            if kept:
                yield maps[0][kept]
            advance(len(asked))


def _spilled(shape: tuple[int, ...], home: Path) -> np.ndarray:
    """Create an array in an unnamed file, which is deleted with the array."""
    home.mkdir(parents=True, exist_ok=True)
    if not int(np.prod(shape)):
        return np.zeros(shape, np.float32)
    with tempfile.TemporaryFile(dir=home) as file:
        return np.memmap(file, np.float32, "w+", shape=shape)


@torch.no_grad()
def write(
    backbone: Backbone, looks: Looks, wants: Sequence[Want], held: Held, workers: int, doing: str
) -> dict[int, OSError]:
    """Write the missing shards of views.

    Args:
        backbone: Backbone whose stem computes the features.
        looks: Images.
        wants: Views and their missing shards.
        held: Feature maps that are computed already.
        workers: Processes that read images.
        doing: Description for the progress bar.

    Returns:
        Errors of images that cannot be read, by row of the table; their features are NaN.

    Raises:
        ValueError: Features do not fit float16.
    """
    numbers = _numbers(wants)
    asked = _batches(wants, numbers)
    to_read = [
        {row: () if row in held.places or row in held.faults else numbers[row] for row in rows}
        for rows in asked
    ]
    faults = dict(held.faults)
    with ExitStack() as stack, progress(doing, len(numbers), "photos") as advance:
        writers = [(want.number, stack.enter_context(_Writer(want))) for want in wants]
        for read, seen in looks.batches(to_read, workers):
            faults |= seen.faults
            for number, writer in writers:
                rows = [row for row in read if number in numbers[row] and writer.wants(row)]
                if rows:
                    writer.append(_features(backbone, writer.want, rows, read, seen, held, faults))
            advance(len(read))
    return faults


def _features(
    backbone: Backbone,
    want: Want,
    rows: Sequence[int],
    read: Mapping[int, Sequence[int]],
    seen: Seen,
    held: Held,
    faults: Mapping[int, OSError],
) -> Float16[np.ndarray, "row *shape"]:
    """Return the features of one view for some rows: from images just read, from kept maps, or NaN."""
    device, number = next(backbone.parameters()).device, want.number
    given = [row for row, numbers in read.items() if number in numbers]
    made = dict.fromkeys(faults, np.full(want.layout.shape, np.nan, np.float16))
    if given:
        new = zip(given, _half(backbone.stem_outputs(seen.images[number].to(device))), strict=True)
        made |= {row: features for row, features in new if row not in faults}
    kept = [row for row in rows if row in held.places]
    if kept:
        assert held.maps is not None
        maps = torch.from_numpy(np.stack([held.maps[held.places[row], number] for row in kept]))
        made |= zip(kept, _half(backbone.pooled(maps.to(device))), strict=True)
    return np.stack([made[row] for row in rows])


def _half(features: Float[Tensor, "batch *shape"]) -> Float16[np.ndarray, "batch *shape"]:
    half = features.half()
    if not torch.isfinite(half).all():
        raise ValueError("outputs of the backbone's frozen part do not fit float16: give --cache none")
    return half.cpu().numpy()


def _numbers(wants: Sequence[Want]) -> dict[int, tuple[int, ...]]:
    """Return the views that need a row, by row of the table, ascending."""
    found: dict[int, tuple[int, ...]] = {}
    for want in wants:
        for positions in want.wanted():
            for row in want.rows[positions.start : positions.stop].tolist():
                found[row] = (*found.get(row, ()), want.number)
    return dict(sorted(found.items()))


def _batches(wants: Sequence[Want], numbers: Mapping[int, tuple[int, ...]]) -> list[list[int]]:
    """Divide rows into batches that start with each shard: an image's features then do not depend on other shards."""
    starts = {int(want.rows[positions.start]) for want in wants for positions in want.wanted()}
    batches: list[list[int]] = []
    for row in numbers:
        if not batches or row in starts or len(batches[-1]) == BATCH:
            batches.append([])
        batches[-1].append(row)
    return batches


class _Writer:
    """Writes the shards of a view one after the other; a shard that is incomplete when an error occurs is dropped."""

    def __init__(self, want: Want) -> None:
        self.want = want
        self._rows = {
            int(row) for positions in want.wanted() for row in want.rows[positions.start : positions.stop]
        }
        self._shards = iter(want.shards)
        self._left = 0
        self._open = ExitStack()

    def wants(self, row: int) -> bool:
        """Whether a row of the table belongs to a missing shard."""
        return row in self._rows

    def append(self, features: Float16[np.ndarray, "row *shape"]) -> None:
        """Write the next rows, which belong to one shard."""
        if not self._left:
            number = next(self._shards)
            self._left = len(self.want.layout.of(number))
            shape = (self._left, *self.want.layout.shape)
            path = shard_file.shard_path(self.want.view.path, number)
            self._put = self._open.enter_context(shard_file.written(path, shape))
        self._put(features)
        self._left -= len(features)
        if not self._left:
            self._open.close()

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)
