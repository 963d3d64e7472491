"""Frozen backbones: fitting of their pooling, and the features of the plain images of a table."""

from pathlib import Path

import numpy as np
from torch import nn
from torch.utils.data import Dataset

from partlabel.core.progress_bar import track
from partlabel.core.types import Batch
from partlabel.data.cache import feature_cache
from partlabel.data.cache.feature_dataset import FeatureDataset
from partlabel.data.cache.interface import Features
from partlabel.data.cache.pooling_store import weights_digest
from partlabel.data.images.dataset import ImageDataset, eval_transform
from partlabel.data.images.loader import loader
from partlabel.data.tables.label_table import LabelTable
from partlabel.nn import backbone as backbones
from partlabel.nn.backbone import Backbone
from partlabel.nn.pooling import CovariancePooling
from partlabel.training import caching
from partlabel.training.config import TrainingConfig
from partlabel.training.datasets import InputView

POOLED_FROM, POOLED_AT_ONCE = 512, 8
"""Number of images that a pooling is fitted on, and number of images per batch."""


def frozen_backbone(
    table: LabelTable,
    covariance_rank: int = 0,
    name: str = backbones.LITE0,
    size: int = 224,
    pool: int = 1,
    cache_dir: str | Path | None = None,
) -> Backbone:
    """Build a frozen backbone, with its pooling fitted on a table.

    Args:
        table: Label table of the images that the pooling is fitted on.
        covariance_rank: Components of the covariance pooling; 0 for none.
        name: Model name in timm.
        size: Side of the images in pixels.
        pool: Side of the squares of the feature map that are averaged.
        cache_dir: Folder of the feature cache; None for the default one.
    """
    backbone = backbones.create(
        name, trainable="none", image_size=size, pool=pool, covariance_rank=covariance_rank
    )
    if covariance_rank:
        plain_view(backbone, table, size, cache_dir)
    return backbone


def plain_view(
    backbone: Backbone, table: LabelTable, size: int = 224, cache_dir: str | Path | None = None
) -> list[Features]:
    """Load the features of the plain images of a table; compute those that are not cached."""
    return feature_cache.compute(
        backbone, table, eval_transform(size, backbone.preprocessing), size=size, where=cache_dir
    )


def mean_channels(backbone: Backbone) -> int:
    """Count the channels of the feature map before any covariance pooling."""
    pooling = pooling_of(backbone)
    return backbone.channels if pooling is None else pooling.mean_channels


def trunk_digest(backbone: Backbone) -> str:
    """Hash the weights of a frozen backbone, without those of its pooling."""
    assert isinstance(backbone.stem, nn.Sequential)
    return weights_digest(backbone.stem[0]).hex()


def fit_pooling_on(
    backbone: nn.Module, view: InputView, table: LabelTable, cached: TrainingConfig | None = None
) -> None:
    """Fit a backbone's pooling, if it has one to fit, on evenly spaced plain images of a table.

    Args:
        backbone: Backbone; changed in place.
        view: Image side and normalisation.
        table: Label table of the images; labels are not used.
        cached: Configuration of a run that caches features; None without the cache.
    """
    if pooling_of(backbone) is None:
        return
    assert isinstance(backbone, Backbone)
    if cached is not None:
        (stored,), _ = caching.look(backbone, view[0], table, cached, views=1)
        if backbone.pooling is not None:  # fitted in that pass, or loaded
            return
    rows = np.unique(np.linspace(0, len(table) - 1, min(len(table), POOLED_FROM)).round().astype(int))
    images: Dataset[Batch] = (
        ImageDataset(table[rows], eval_transform(*view), size=view[0])
        if cached is None
        else FeatureDataset([stored], table[rows], rows)
    )
    batches = track(
        loader(images, POOLED_AT_ONCE), "Fitting the pooling", len(rows), "photos", POOLED_AT_ONCE
    )
    backbones.fit_pooling(backbone, (batch.inputs for batch in batches))


def pooling_of(backbone: nn.Module) -> CovariancePooling | None:
    """Find the pooling of a backbone that has to be fitted; None if it has none."""
    return next((module for module in backbone.modules() if isinstance(module, CovariancePooling)), None)
