"""The pass over images that fills the feature cache: each image is decoded once, for all views that need it.

The pass also finds images that cannot be read. If the backbone's pooling is not fitted yet, it is fitted on a sample
first, and the sample's feature maps are kept, so that those images are not decoded a second time.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float16, Int
from torch import Tensor

from partlabel.core.progress_bar import progress
from partlabel.data.cache.interface import FeatureView
from partlabel.data.cache.pass_images import Looks, Seen
from partlabel.data.cache.pooling_fit import Held
from partlabel.data.cache.shard_file import Layout
from partlabel.nn.backbone import Backbone

BATCH = 64


class Want(NamedTuple):
    """A view that lacks shards.

    Attributes:
        number: Number of the view: 0 without augmentation, others augmented.
        view: The view.
        layout: Layout of its shards.
        rows: Rows of the table in the view, ascending.
        shards: Numbers of the missing shards, ascending.
    """

    number: int
    view: FeatureView
    layout: Layout
    rows: Int[np.ndarray, " image"]
    shards: list[int]

    def wanted(self) -> Iterator[range]:
        """Yield the positions in `rows` of each missing shard."""
        return (self.layout.of(shard) for shard in self.shards)


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
        workers: DataLoader worker processes; 0 loads in the main process.
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
    backbone.prepare(looks.photos.size, sum(map(len, numbers.values())))
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
        """Return whether a row of the table belongs to a missing shard."""
        return row in self._rows

    def append(self, features: Float16[np.ndarray, "row *shape"]) -> None:
        """Write the next rows, which belong to one shard."""
        if not self._left:
            number = next(self._shards)
            self._left = len(self.want.layout.of(number))
            self._put = self._open.enter_context(self.want.view.write(number))
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
