"""Fit the pooling of a backbone on a sample of the images, and keep the feature maps for the pass."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from partlabel.core.progress_bar import progress
from partlabel.data.cache.pass_images import Looks, Seen
from partlabel.nn.backbone import Backbone

FITTED_ON, FITTED_AT_ONCE = 512, 8
"""Images that a pooling is fitted on, and images per batch."""
HELD_BYTES = 512 * 2**20
"""Maximum bytes of feature maps kept in a temporary file after the fit of the pooling."""


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


def fit_pooling_on_photos(
    backbone: Backbone, looks: Looks, rows: Int[np.ndarray, " photo"], views: int, workers: int, home: Path
) -> Held:
    """Fit the pooling at the end of the backbone's stem, and keep the feature maps.

    Args:
        backbone: Backbone; its pooling is changed.
        looks: Images.
        rows: Rows to fit on.
        views: Number of views to keep per image.
        workers: DataLoader worker processes; 0 loads in the main process.
        home: Folder of the temporary file.
    """
    held = Held()
    assert backbone.pooling is not None
    backbone.prepare(looks.photos.size, len(rows) * views)
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
