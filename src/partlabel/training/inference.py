"""Inference: logits of the images of a loader or of a table, from cached features where there are any."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch.utils.data import DataLoader

from partlabel.core import distributed
from partlabel.core.progress_bar import progress
from partlabel.core.types import Batch
from partlabel.data.cache import feature_cache
from partlabel.data.cache.feature_dataset import FeatureDataset
from partlabel.data.images.dataset import ImageDataset, eval_transform
from partlabel.data.images.loader import loader
from partlabel.data.images.threads import ahead
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.splits import without_broken
from partlabel.methods import Method
from partlabel.training import caching
from partlabel.training.datasets import InputView, method_backbone


def logits(
    model: Method, batches: DataLoader[Batch], share: bool = False
) -> Float[np.ndarray, "image class"]:
    """Compute the logits of all images of a loader.

    Args:
        model: Method in eval mode.
        batches: Loader, in the order of the result.
        share: Whether each of several processes has a share of the images; then all processes get all logits.
    """
    own = scored(model, batches)[1]
    return distributed.all_gather_rows(torch.from_numpy(own))[0].numpy() if share else own


def scored(
    model: Method, batches: DataLoader[Batch]
) -> tuple[Int[np.ndarray, " image"], Float[np.ndarray, "image class"]]:
    """Compute the logits of a loader's images, and the index of each; the arguments are those of `logits`.

    The next batches are prefetched while the network computes.
    """
    device = next(model.parameters()).device
    index, found = [], []
    sampler = batches.sampler
    photos = sum(len(rows.rows) for rows in sampler) if isinstance(sampler, list) else len(batches.dataset)  # type: ignore[arg-type]
    cached = isinstance(batches.dataset, FeatureDataset)
    with torch.inference_mode():
        for batch in _tracked(
            ahead(batches), photos, "Scoring cached photos" if cached else "Scoring photos"
        ):
            if len(batch.inputs):
                found.append(model(batch.inputs.to(device)).float().cpu().numpy())
            index.append(batch.index.numpy())
    return np.concatenate(index), np.concatenate(found) if found else np.zeros((0, 0), np.float32)


def _tracked(batches: Iterable[Batch], photos: int, doing: str) -> Iterator[Batch]:
    """Iterate over batches, with a progress bar in images."""
    with progress(doing, photos, "photos") as advance:
        for batch in batches:
            yield batch
            advance(len(batch.index))


def scores(
    model: Method,
    view: InputView,
    table: LabelTable,
    batch_size: int,
    workers: int,
    keep: bool,
    where: caching.Where,
) -> Float[np.ndarray, "image class"]:
    """Compute the logits of all images of a table.

    Args:
        model: Method in eval mode.
        view: Image side and normalisation.
        table: Label table; its labels are not used.
        batch_size: Images per batch.
        workers: DataLoader worker processes; 0 loads in the main process.
        keep: Whether to keep the features that are computed in the cache.
        where: The feature cache.

    Raises:
        OSError: An image cannot be read.
    """
    if keep:
        views = feature_cache.compute(
            method_backbone(model),
            table,
            eval_transform(*view),
            size=view[0],
            where=where.folder,
            workers=workers,
        )
        stored = FeatureDataset(views, table, np.arange(len(table)))
        return logits(model, loader(stored, batch_size))
    return _scored(model, view, table, batch_size, workers, False, where)[1]


def scored_readable(
    model: Method,
    view: InputView,
    table: LabelTable,
    batch_size: int,
    workers: int,
    skip_broken: bool,
    where: caching.Where,
) -> tuple[Int[np.ndarray, " image"], Float[np.ndarray, "image class"]]:
    """Compute the logits of the images of a table that can be read, and their rows.

    Each image is read once, or not at all where the feature cache has its features.

    Args:
        model: Method in eval mode.
        view: Image side and normalisation.
        table: Label table; its labels are not used.
        batch_size: Images per batch.
        workers: DataLoader worker processes; 0 loads in the main process.
        skip_broken: Whether to leave out images that cannot be read.
        where: The feature cache.

    Raises:
        ValueError: Images cannot be read, and `skip_broken` is false; the message lists all of them.
    """
    try:
        return _scored(model, view, table, batch_size, workers, skip_broken, where)
    except OSError:
        without_broken(table, np.ones(len(table), bool), skip_broken)  # names all of them
        raise


def _scored(
    model: Method,
    view: InputView,
    table: LabelTable,
    batch_size: int,
    workers: int,
    leave_out: bool,
    where: caching.Where,
) -> tuple[Int[np.ndarray, " image"], Float[np.ndarray, "image class"]]:
    """Score images, from cached features where there are any; return rows and logits."""
    stored = caching.there(model, view, table, where)
    cached = np.zeros(len(table), bool) if stored is None else stored.there
    rows, found = [], []
    if stored is not None and cached.any():
        at = np.flatnonzero(cached)
        index, values = scored(model, loader(FeatureDataset([stored], table[at], at), batch_size))
        rows.append(at[index])
        found.append(values)
    if not cached.all():
        at = np.flatnonzero(~cached)
        method_backbone(model).prepare(view[0], len(at))
        images = ImageDataset(table[at], eval_transform(*view), size=view[0], leave_out=leave_out)
        index, values = scored(model, loader(images, batch_size, workers=workers))
        rows.append(at[index])
        found.append(values)
    order = np.argsort(np.concatenate(rows), kind="stable")
    some = [each for each in found if len(each)]
    return np.concatenate(rows)[order], np.concatenate(some)[order] if some else found[0]
