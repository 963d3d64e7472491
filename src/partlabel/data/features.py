"""The feature cache: what the frozen part of a backbone makes of each image, computed once.

A *view* is one way to look at every image: view 0 the plain one, the others augmented. Each is a folder of float16
shards (`feature_shards.py`), named by a hash of all that it depends on: weights, transform, image bytes. Runs share it;
one that is killed leaves its finished shards to the next, and `room.py` keeps the folder of them all in bounds. Labels
are not in it: one view serves any of them.
"""

import os
import warnings
from collections.abc import Sequence
from hashlib import blake2b
from itertools import islice
from math import ceil
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float16, Int
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from partlabel.data import contents, feature_shards
from partlabel.data.feature_shards import Layout
from partlabel.data.images import ImageDataset, Rows
from partlabel.data.module import ahead, as_it_is
from partlabel.data.room import View, computing, hold
from partlabel.data.table import LabelTable
from partlabel.methods import Batch
from partlabel.nn.backbone import Backbone
from partlabel.progress import track

BATCH = 64
MADE = 2
"""Of the way features are made of files; a change of it, as in how images are decoded, makes older views useless."""
SHARD_IMAGES, SHARD_BYTES, SHARDS = 1024, 1 << 28, 64


def folder(given: str | Path | None = None) -> Path:
    """Where caches are: the folder given, or `partlabel` in the user's cache folder."""
    return Path(given or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "partlabel")


class FeatureDataset(Dataset[Batch]):
    """Whole batches of cached features; in training each image in one of its views, drawn for the epoch.

    Args:
        views: Of the same images, the plain view first.
        table: The images this dataset is about, and their labels.
        rows: Where those are in the views.
        seed: Of the choice of views.
    """

    def __init__(
        self, views: Sequence[View], table: LabelTable, rows: Int[np.ndarray, " image"], seed: int = 0
    ) -> None:
        self.held = list(views)
        self.views = [feature_shards.Sharded(view.path) for view in views]
        self.labels = torch.from_numpy(np.array(table.labels))
        self.rows = rows
        self.seed = seed
        self._drawn: tuple[int, np.ndarray] = (-1, np.zeros(len(rows), np.int64))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, asked: Rows) -> Batch:
        """The rows of an epoch as a batch."""
        index = np.asarray(asked.rows)
        view, rows = self.view_of(asked.epoch)[index], self.rows[index]
        features = np.empty((len(index), *self.views[0].layout.shape), np.float16)
        for number in np.unique(view):
            features[view == number] = self.views[number].take(rows[view == number])
        return Batch(torch.from_numpy(features).float(), self.labels[asked.rows], torch.tensor(asked.rows))

    def view_of(self, epoch: int) -> Int[np.ndarray, " image"]:
        """Which view of each image an epoch sees; the plain one before the first."""
        if epoch < 0:
            return np.zeros(len(self.rows), np.int64)
        if self._drawn[0] != epoch:
            random = np.random.default_rng([self.seed, epoch, 1])
            self._drawn = epoch, random.integers(len(self.views), size=len(self.rows))
        return self._drawn[1]


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
) -> list[View]:
    """The views, whatever of them is not there yet or is damaged being computed.

    Args:
        backbone: With a stem.
        table: The images.
        plain: Their transform in evaluation: view 0.
        augment: Their transform in training: the other views.
        views: How many in all.
        size: Side of the images.
        where: The folder of the cache.
        workers: Processes that read images; without any a thread of this one does.
        limit: Bytes that the folder may hold; older views are deleted for that, those in use never.
        per_shard: Images of a shard, whose work is lost when a run is killed.

    Returns:
        The views, which are in use, and so stay, as long as these objects or a dataset made from them live.

    Raises:
        ValueError: The backbone has no frozen part that can be run alone, its values do not fit float16, or the views
            do not fit the limit.
        OSError: An image cannot be read, or there is no room.
    """
    if not backbone.has_stem:
        raise ValueError(
            "the feature cache keeps what the frozen part of a backbone makes of images, and this one has no such "
            "part: give --trainable last or none, another --backbone, or train without --cache"
        )
    home = folder(where)
    layout = _layout(backbone, len(table), size, per_shard)
    common = _hash_of(backbone, table, f"{size} {layout}", home)
    transforms = [plain, *[augment] * (views - 1 if augment is not None else 0)]
    names = [
        blake2b(f"{common} {number} {transform}".encode(), digest_size=16).hexdigest()
        for number, transform in enumerate(transforms)
    ]
    held = hold(home, names, layout, limit)
    for number, view in enumerate(held):
        # The draws of a view hang on its number and not on the run, so that runs of other seeds share it.
        dataset = ImageDataset(table, plain, None if number == 0 else augment, size)
        doing = f"Caching features, view {number + 1} of {len(held)}"
        with computing(view):
            if wanted := _wanted(view, layout):
                _write(view, layout, wanted, backbone, dataset, number, workers, doing)
    return held


def _layout(backbone: Backbone, images: int, size: int, per_shard: int | None) -> Layout:
    """Shards of up to 1,024 images and 256 MB, unless those were more than 64 files."""
    device = next(backbone.parameters()).device
    shape = tuple(backbone.stem_outputs(torch.zeros(1, 3, size, size, device=device)).shape[1:])
    rows = min(SHARD_IMAGES, max(SHARD_BYTES // (2 * int(np.prod(shape))), 1))
    return Layout(images, shape, per_shard or max(rows, ceil(images / SHARDS)))


def _hash_of(backbone: Backbone, table: LabelTable, about: str, home: Path) -> str:
    digest = blake2b(f"{MADE} {about} {backbone.stem}".encode(), digest_size=16)
    for name, value in backbone.stem.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    for image in contents.hashes(table, home / "contents"):
        digest.update(image.encode())
    return digest.hexdigest()


def _wanted(view: View, layout: Layout) -> list[int]:
    """The shards that are missing or damaged; says which are damaged."""
    wanted = []
    for number in range(layout.shards):
        if found := feature_shards.fault(view.path, layout, number):
            wanted.append(number)
            if found != "missing":
                warnings.warn(
                    f"{feature_shards.path_of(view.path, number)} is damaged ({found}) and is computed again",
                    stacklevel=3,
                )
    return wanted


def _write(
    view: View,
    layout: Layout,
    wanted: Sequence[int],
    backbone: Backbone,
    dataset: ImageDataset,
    epoch: int,
    workers: int,
    doing: str,
) -> None:
    device = next(backbone.parameters()).device
    # Batches begin with their shard: then what is computed of an image does not hang on which shards were there.
    asked = {
        number: [Rows(epoch, list(rows[at : at + BATCH])) for at in range(0, len(rows), BATCH)]
        for number in wanted
        for rows in [layout.of(number)]
    }
    sampler = [rows for each in asked.values() for rows in each]
    batches = DataLoader(dataset, batch_size=None, sampler=sampler, num_workers=workers, collate_fn=as_it_is)
    made = track(ahead(batches), doing, len(sampler))
    for number, each in asked.items():
        with feature_shards.written(
            feature_shards.path_of(view.path, number), (len(layout.of(number)), *layout.shape)
        ) as append:
            for images, _, _ in islice(made, len(each)):
                append(_half(backbone.stem_outputs(images.to(device))))


def _half(features: Float[Tensor, "batch *shape"]) -> Float16[np.ndarray, "batch *shape"]:
    half = features.half()
    if not torch.isfinite(half).all():
        raise ValueError("outputs of the backbone's frozen part do not fit float16: train without --cache")
    return half.cpu().numpy()
