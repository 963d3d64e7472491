"""Datasets of a training run: images, or their features where the run uses the feature cache."""

from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from partlabel.core.types import Batch, Preprocessing
from partlabel.data.cache.feature_dataset import FeatureDataset
from partlabel.data.cache.interface import Features
from partlabel.data.images.dataset import ImageDataset, eval_transform, train_transform
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.part_names import TRAIN, VAL
from partlabel.data.tables.splits import Parts
from partlabel.methods import Method
from partlabel.nn.backbone import Backbone
from partlabel.training import caching
from partlabel.training.config import TrainingConfig

InputView = tuple[int, Preprocessing]
"""Side of the images in pixels, and the normalisation that the backbone expects."""


def training_datasets(
    model: Method, view: InputView, config: TrainingConfig, parts: Parts
) -> tuple[Dataset[Batch], Dataset[Batch] | None]:
    """Build the datasets of the training images and of the validation images, if there are any."""
    size, preprocessing = view
    plain = eval_transform(size, preprocessing)
    augment = None if config.augment == "none" else train_transform(size, preprocessing, config.augment)
    if not caching.uses_cache(method_backbone(model).is_frozen, config):
        learn: Dataset[Batch] = ImageDataset(parts.train, plain, augment, size, config.seed)
        return learn, None if parts.val is None else ImageDataset(parts.val, plain, size=size)
    views = _views(method_backbone(model), size, whole := in_use(parts), config)
    row = {image: number for number, image in enumerate(whole.images)}
    rows = np.array([row[image] for image in parts.train.images])
    learn = FeatureDataset(views, parts.train, rows, config.seed)
    if parts.val is None:
        return learn, None
    if parts.val.root == whole.root and all(image in row for image in parts.val.images):
        return learn, FeatureDataset(views[:1], parts.val, np.array([row[i] for i in parts.val.images]))
    return learn, plain_images(method_backbone(model), view, parts.val, config)


def plain_images(
    backbone: Backbone, view: InputView, table: LabelTable, config: TrainingConfig
) -> Dataset[Batch]:
    """Build the dataset of the plain images of a table, or of their cached features where the run caches them."""
    if not caching.uses_cache(backbone.is_frozen, config):
        return ImageDataset(table, eval_transform(*view), size=view[0])
    return FeatureDataset(_views(backbone, view[0], table, config, 1), table, np.arange(len(table)))


def _views(
    backbone: Backbone, size: int, table: LabelTable, config: TrainingConfig, views: int | None = None
) -> list[Features]:
    """Load or compute the features of a table whose images can all be read.

    Raises:
        OSError: An image cannot be read.
    """
    found, broken = caching.look(backbone, size, table, config, views)
    if broken:
        raise OSError(f"{Path(table.root or '.') / broken[0].image}: {broken[0].reason}")
    return found


def in_use(parts: Parts) -> LabelTable:
    """Select training and validation images together, which are the same for every seed of the split."""
    return parts.table[[row for row, part in enumerate(parts.table.split or ()) if part in (TRAIN, VAL)]]


def method_backbone(model: Method) -> Backbone:
    """Return the backbone of a method that was built from settings."""
    assert isinstance(model.backbone, Backbone)
    return model.backbone
