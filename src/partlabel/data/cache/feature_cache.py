"""The feature cache: the output of the frozen part of a backbone for each image, computed once.

A *view* is one transform of every image: view 0 is without augmentation, the others are augmented. Each view is a
folder of float16 shards (`shard_file.py`), named by a hash of all that it depends on: weights, transform, image
bytes. Runs share views; a run that is killed leaves its finished shards to the next, and `eviction.py` limits the size
of the folder of all views. Labels are not cached: one view serves any of them. `feature_store.py` finds images in all
views, and `feature_pass.py` decodes those that are in none, once for all views.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from torchvision.transforms import v2

from partlabel.core.messages import shown_bytes
from partlabel.core.progress_bar import say
from partlabel.data.cache import feature_pass, file_hashes, pooling_store
from partlabel.data.cache.cache_request import CacheRequest
from partlabel.data.cache.eviction import locked
from partlabel.data.cache.feature_pass import Want
from partlabel.data.cache.feature_store import ShardStore
from partlabel.data.cache.interface import Features, FoundImages, ViewRequest
from partlabel.data.cache.pass_images import Looks
from partlabel.data.cache.pooling_fit import FITTED_ON, Held, fit_pooling_on_photos
from partlabel.data.images import decode
from partlabel.data.images.broken import Broken, broken
from partlabel.data.tables.label_table import LabelTable
from partlabel.nn.backbone import Backbone

TRIES = 3


def folder(given: str | Path | None = None) -> Path:
    """Return the folder of caches: the one given, else `partlabel` in the user's cache folder."""
    return Path(given or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "partlabel")


def compute(
    backbone: Backbone,
    table: LabelTable,
    plain: v2.Transform,
    augment: v2.Transform | None = None,
    views: int = 1,
    size: int = 224,
    where: str | Path | None = None,
    workers: int = 0,
    limit: int | None = None,
    per_shard: int | None = None,
) -> list[Features]:
    """Find the features of a table's images in the cache, and compute those that are missing or damaged.

    Args:
        backbone: Backbone with a stem; a pooling at its end that is not fitted yet is fitted on these images.
        table: Images.
        plain: Transform for evaluation: view 0.
        augment: Transform for training: the other views.
        views: Number of views, including view 0.
        size: Side of the images in pixels.
        where: Folder of the cache; default: in the user's cache folder.
        workers: Processes that read images; 0 uses a thread of this process.
        limit: Maximum size of the folder in bytes; older views that are not in use are deleted for that.
        per_shard: Images per shard; if a run is killed, the work on unfinished shards is lost.

    Returns:
        The views, which are kept as long as these objects or a dataset made from them live.

    Raises:
        ValueError: The backbone has no frozen part that can be run alone, its values do not fit float16, or the views
            exceed the limit.
        OSError: An image cannot be read (the features of the others are kept), or the disk is too full.
    """
    found, unreadable = lookup(backbone, table, plain, augment, views, size, where, workers, limit, per_shard)
    if unreadable:
        path = table.path(table.images.index(unreadable[0].image))
        raise OSError(f"{path}: {unreadable[0].reason}")
    return found


def lookup(
    backbone: Backbone,
    table: LabelTable,
    plain: v2.Transform,
    augment: v2.Transform | None = None,
    views: int = 1,
    size: int = 224,
    where: str | Path | None = None,
    workers: int = 0,
    limit: int | None = None,
    per_shard: int | None = None,
) -> tuple[list[Features], list[Broken]]:
    """Compute features as `compute`; also return the images that cannot be read, in the order of the table."""
    if not backbone.has_stem:
        raise ValueError(
            "the feature cache stores the output of the frozen part of a backbone, and this backbone has no such "
            "part: give --trainable last or none, another --backbone, or --cache none"
        )
    home, faults = folder(where), {}
    transforms = [plain, *[augment] * (views - 1 if augment is not None else 0)]
    hashes: list[str | None] = []
    for row, each in enumerate(file_hashes.hashes_or_faults(table, home / file_hashes.MEMORY)):
        hashes.append(None if isinstance(each, OSError) else each)
        if isinstance(each, OSError):
            faults[row] = OSError(decode.reason(each))
    device = next(backbone.parameters()).device
    shape = tuple(backbone.stem_outputs(torch.zeros(1, 3, size, size, device=device)).shape[1:])
    asked = CacheRequest(backbone, table, transforms, size, home, workers, limit, shape, per_shard, hashes)
    held = _fit_pooling(asked)
    found = [asked.store.look_up(maker, asked.images, _exact(asked, maker)) for maker in asked.makers]
    faults |= _fill(asked, found, held)
    listed = [broken(table, row, error) for row, error in sorted(faults.items())]
    if listed and backbone.pooling is not None:
        kept = dict.fromkeys(
            each for row, each in enumerate(hashes) if row not in faults and each is not None
        )
        pooling_store.save(asked.pooling_file(list(kept)), backbone.pooling)
    return [each.features(hashes) for each in found], listed


def stored(
    backbone: Backbone,
    table: LabelTable,
    plain: v2.Transform,
    size: int,
    where: str | Path | None = None,
    means: bool = False,
) -> Features | None:
    """Find the cached features of a table's plain images, without reading images or computing; None if there are none.

    An image is found if its file's hash was stored by an earlier run on the same folder.

    Args:
        backbone: Backbone of the features.
        table: Images.
        plain: Transform for evaluation.
        size: Side of the images in pixels.
        where: Folder of the cache; default: in the user's cache folder.
        means: Whether to take the means of feature maps, as maps of size 1 x 1, where the means are cached and the maps
            are not.
    """
    home = folder(where)
    store = ShardStore(home)
    if not backbone.has_stem or store.is_empty:
        return None
    hashes = file_hashes.remembered(table, home / file_hashes.MEMORY)
    asked = CacheRequest(backbone, table, [plain], size, home, 0, None, (), None, hashes)
    if not asked.images:
        return None
    known, channels = store.look_up(asked.makers[0], asked.images), None
    if means and len(known.hashes) < len(asked.images):
        pooled = store.look_up(asked.makers[0], asked.images, key="maker_of_maps")
        if len(pooled.hashes) > len(known.hashes):
            known, channels = pooled, backbone.channels
    return known.features(hashes, channels) if known.hashes else None


def _exact(asked: CacheRequest, maker: str) -> ViewRequest:
    """Return the view of exactly these images."""
    return ViewRequest(maker, list(asked.images), asked.layout(len(asked.images)))


def _fit_pooling(asked: CacheRequest) -> Held:
    """Load the pooling that was fitted on these images, or fit it; return the feature maps computed for that."""
    pooling = asked.backbone.pooling
    if pooling is None or pooling.fitted or not asked.images:
        return Held()
    path = asked.pooling_file(list(asked.images))
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_suffix(".lock"), "Waiting for the process that fits the pooling"):
        if pooling_store.load(path, pooling):
            return Held()
        _announce(asked, len(asked.transforms) * asked.layout(len(asked.images)).bytes, len(asked.images))
        rows = np.array(list(asked.images.values()))
        spaced = np.unique(np.linspace(0, len(rows) - 1, min(len(rows), FITTED_ON)).round().astype(int))
        views = len(asked.transforms)
        held = fit_pooling_on_photos(
            asked.backbone, asked.looks(), rows[spaced], views, asked.workers, asked.home
        )
        if len(held.faults) < len(spaced):
            pooling_store.save(path, pooling)
        return held


def _fill(asked: CacheRequest, found: Sequence[FoundImages], held: Held) -> dict[int, OSError]:
    """Compute missing features and add them to `found`; return, by row, why images cannot be read."""
    faults = {hash_: error for row, error in held.faults.items() if (hash_ := asked.hashes[row]) is not None}
    looks = asked.looks()
    for _ in range(TRIES):
        for each in {image for known in found for image in known.broken} - faults.keys():
            try:
                looks.photos.pixels(asked.images[each])
            except OSError as error:
                faults[each] = error
        if not any(_missing(asked, known, faults) for known in found):
            break
        faults |= _compute(asked, looks, found, held, faults)
        held = Held()
    else:
        faults |= {each: OSError("cannot be read") for known in found for each in known.broken}
    return {row: faults[each] for row, each in enumerate(asked.hashes) if each in faults}


def _missing(asked: CacheRequest, known: FoundImages, faults: Mapping[str, OSError]) -> list[str]:
    """List the images that a view still lacks: all of them if their own view lacks shards."""
    if known.lacking:
        return list(asked.images)
    made = known.hashes | (known.broken & faults.keys())
    return [each for each in asked.images if each not in made]


def _compute(
    asked: CacheRequest, looks: Looks, found: Sequence[FoundImages], held: Held, faults: Mapping[str, OSError]
) -> dict[str, OSError]:
    """Compute the missing views in one pass; return, by hash, why images cannot be read."""
    missing = {number: _missing(asked, known, faults) for number, known in enumerate(found)}
    images = {number: each for number, each in missing.items() if each}
    requests = [
        ViewRequest(asked.makers[number], each, asked.layout(len(each)), asked.bodies[number])
        for number, each in images.items()
    ]
    views = asked.store.reserve(requests, asked.limit)
    with ExitStack() as stack:
        wants = []
        for number, view in zip(images, views, strict=True):
            stack.enter_context(view.computing())
            shards = view.missing([each not in faults for each in images[number]])
            rows = np.array([asked.images[each] for each in images[number]])
            wants.append(Want(number, view, view.layout, rows, shards))
        if held.maps is None:  # else it was printed before the pooling was fitted
            size = sum(want.layout.shard_bytes(shard) for want in wants for shard in want.shards)
            _announce(asked, size, max(sum(map(len, want.wanted())) for want in wants))
        new = feature_pass.write(asked.backbone, looks, wants, held, asked.workers, "Caching features")
    for want in wants:
        found[want.number].add(want.view)
    return {each: error for row, error in new.items() if (each := asked.hashes[row]) is not None}


def _announce(asked: CacheRequest, size: int, images: int) -> None:
    """Print how much will be computed and stored."""
    if images:
        views = len(asked.transforms)
        in_views = f" in {views} views" if views > 1 else ""
        say(f"Caching features of {images:,} photos{in_views}: {shown_bytes(size)} in {asked.home}")
