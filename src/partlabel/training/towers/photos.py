"""Features of photos for a tower: the mean of each feature map, from a backbone that is at hand or from its own."""

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from partlabel.core.progress_bar import track
from partlabel.data.cache import feature_cache
from partlabel.data.cache.feature_dataset import FeatureDataset
from partlabel.data.images.dataset import ImageDataset, eval_transform
from partlabel.data.images.loader import loader
from partlabel.data.images.threads import ahead
from partlabel.data.tables.label_table import LabelTable
from partlabel.nn.backbone import Backbone
from partlabel.nn.heads.covariance import Covariance
from partlabel.training.caching import Where
from partlabel.training.frozen_backbone import mean_channels, plain_view, pooling_of
from partlabel.training.towers._base import Tower

AT_ONCE = 4096
"""Photos whose features are read from the cache at a time."""


@dataclass(frozen=True)
class PhotoReading:
    """How photos are read for a tower.

    Attributes:
        where: The feature cache.
        keep: Whether to keep features that are computed in the cache, as training does.
        batch_size: Images per batch.
        workers: DataLoader worker processes; 0 loads in the main process.
    """

    where: Where = field(default_factory=Where)
    keep: bool = False
    batch_size: int = 64
    workers: int = 0


def means_for(
    tower: Tower, table: LabelTable, reading: PhotoReading, given: Backbone | None = None, size: int = 0
) -> Float[Tensor, "image channel"]:
    """Compute the mean features of the photos of a table that `Tower.image` maps.

    Args:
        tower: Tower.
        table: Photos, which can all be read.
        reading: How they are read.
        given: Backbone at hand, whose features are perhaps cached; used if it is the tower's image encoder.
        size: Side of its images in pixels.

    Raises:
        ValueError: The weights of the tower's own image encoder are not those that it was aligned with.
    """
    if given is not None and size == tower.image_size and tower.fits(given):
        backbone = given
    else:
        backbone = tower.encoder(Covariance.covariance_rank if reading.keep else 0)
    if reading.keep:
        folder = reading.where.folder
        return mean_features(backbone, table, tower.image_size, None if folder is None else str(folder))
    return _means(backbone, table, tower.image_size, reading)


def mean_features(
    backbone: Backbone, table: LabelTable, size: int, cache_dir: str | None = None
) -> Float[Tensor, "image channel"]:
    """Compute the mean of the feature map of every photo of a table; they are kept in the feature cache.

    Args:
        backbone: Frozen backbone.
        table: Photos.
        size: Side of the images in pixels.
        cache_dir: Folder of the cache; None for the default.
    """
    (view,) = plain_view(backbone, table, size, cache_dir)
    rows = np.arange(len(table))
    parts = [view.take(rows[start : start + AT_ONCE]) for start in range(0, len(rows), AT_ONCE)]
    means = [_mean(backbone, torch.from_numpy(np.asarray(part, np.float32))) for part in parts]
    return torch.cat(means) if means else torch.zeros(0, mean_channels(backbone))


def _means(
    backbone: Backbone, table: LabelTable, size: int, reading: PhotoReading
) -> Float[Tensor, "image channel"]:
    """Compute means from cached features where there are any, and from the photos else; nothing is kept."""
    transform = eval_transform(size, backbone.preprocessing)
    found = torch.zeros(len(table), mean_channels(backbone))
    stored = None
    if reading.where.used and table.root is not None:
        plain = pooling_of(backbone) is None
        stored = feature_cache.stored(backbone, table, transform, size, reading.where.folder, plain)
    cached = np.zeros(len(table), bool) if stored is None else stored.there
    if stored is not None and cached.any():
        at = np.flatnonzero(cached)
        batches = loader(FeatureDataset([stored], table[at], at), reading.batch_size)
        for batch in batches:
            found[at[batch.index.numpy()]] = _mean(backbone, batch.inputs.as_subclass(Tensor))
    at = np.flatnonzero(~cached)
    if not len(at):
        return found
    images = loader(
        ImageDataset(table[at], transform, size=size), reading.batch_size, workers=reading.workers
    )
    for batch in track(ahead(images), "Comparing photos with names", len(at), "photos", reading.batch_size):
        found[at[batch.index.numpy()]] = _mean(backbone, backbone.stem_outputs(batch.inputs).cpu())
    return found


def _mean(
    backbone: Backbone, outputs: Float[Tensor, "image output *place"]
) -> Float[Tensor, "image channel"]:
    """Average the outputs of a frozen backbone over the places; of pooled ones the first channels are the mean."""
    return outputs.float().flatten(2).mean(2)[:, : mean_channels(backbone)]
