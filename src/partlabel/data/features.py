"""The feature cache: what the frozen part of a backbone makes of each image, computed once.

A *view* is one way to look at every image: view 0 the plain one, the others augmented. Each is a float16 `.npy` of its
own, mapped into memory, named by a hash of all that it depends on (weights, transform, image files) and renamed into
place when whole, so that runs share it and none meets half of one. Labels are not in it: one file serves any of them.
"""

import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from partlabel.data.aside import written_aside
from partlabel.data.images import ImageDataset, Rows
from partlabel.data.module import as_it_is
from partlabel.data.table import LabelTable
from partlabel.methods import Batch
from partlabel.nn.backbone import Backbone
from partlabel.progress import track

BATCH = 64
CPU_BATCH = 8
"""Fits a processor's cache: lite0's stem takes 5.5 ms an image of 128 pixels, and 9 in batches of 64."""


def folder(given: str | Path | None = None) -> Path:
    """Where caches are: the folder given, or `partlabel` in the user's cache folder."""
    return Path(given or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "partlabel")


class FeatureDataset(Dataset[Batch]):
    """Whole batches of cached features; in training each image in one of its views, drawn for the epoch.

    Args:
        views: Files of the same images, the plain view first.
        table: The images this dataset is about, and their labels.
        rows: Where those are in the files.
        seed: Of the choice of views.
    """

    def __init__(
        self, views: Sequence[Path], table: LabelTable, rows: Int[np.ndarray, " image"], seed: int = 0
    ) -> None:
        self.views = [np.load(view, mmap_mode="r") for view in views]
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
        features = np.empty((len(index), *self.views[0].shape[1:]), np.float16)
        for number in np.unique(view):
            features[view == number] = self.views[number][rows[view == number]]
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
) -> list[Path]:
    """The files of the views, computed where they are not there yet.

    Args:
        backbone: With a stem.
        table: The images.
        plain: Their transform in evaluation: view 0.
        augment: Their transform in training: the other views.
        views: How many in all.
        size: Side of the images.
        where: The folder of the cache.
        workers: Processes that read images.

    Raises:
        ValueError: The backbone has no frozen part that can be run alone, or its values do not fit float16.
    """
    if not backbone.has_stem:
        raise ValueError(
            "the feature cache keeps what the frozen part of a backbone makes of images, and this one has no such "
            "part: give --trainable last or none, another --backbone, or train without --cache"
        )
    common = _hash_of(backbone, table, size)
    files = []
    for view in range(views if augment is not None else 1):
        transform = plain if view == 0 else augment
        name = blake2b(f"{common} {view} {transform}".encode(), digest_size=16).hexdigest()
        path = folder(where) / f"{name}.npy"
        if not path.exists():
            doing = f"Caching features, view {view + 1} of {views}"
            # The draws of a view hang on its number and not on the run, so that runs of other seeds share it.
            dataset = ImageDataset(table, plain, None if view == 0 else augment, size)
            _write(path, backbone, dataset, view, workers, doing)
        files.append(path)
    return files


def _hash_of(backbone: Backbone, table: LabelTable, size: int) -> str:
    digest = blake2b(f"{size} {backbone.stem}".encode(), digest_size=16)
    for name, value in backbone.stem.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().tobytes())
    for row, image in enumerate(table.images):
        stat = table.path(row).stat()
        digest.update(f"{image} {stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _write(
    path: Path, backbone: Backbone, dataset: ImageDataset, view: int, workers: int, doing: str
) -> None:
    device = next(backbone.parameters()).device
    rows = range(len(dataset))
    batch = CPU_BATCH if device.type == "cpu" else BATCH
    asked = [Rows(view, list(rows[at : at + batch])) for at in rows[::batch]]
    batches = DataLoader(dataset, batch_size=None, sampler=asked, num_workers=workers, collate_fn=as_it_is)
    file = None
    with written_aside(path) as aside:
        for images, _, index in track(batches, doing):
            features = backbone.stem_outputs(images.to(device)).half().cpu()
            if not torch.isfinite(features).all():
                raise ValueError(
                    "outputs of the backbone's frozen part do not fit float16: train without --cache"
                )
            if file is None:
                shape = (len(dataset), *features.shape[1:])
                file = np.lib.format.open_memmap(aside, mode="w+", dtype=np.float16, shape=shape)
            file[index.numpy()] = features.numpy()
        assert file is not None
        file.flush()
