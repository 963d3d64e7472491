"""The use of the feature cache by a run.

With a frozen backbone the cache is used unless `--cache none` is given: `train`, and later `evaluate`, `tune` and
`fill`, then read the features of an image that was decoded once. The first pass over the images, which finds those that
cannot be read, is the pass that computes the features.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from partlabel.core.messages import in_bytes
from partlabel.core.types import Preprocessing
from partlabel.data.cache import feature_cache
from partlabel.data.cache.interface import Features
from partlabel.data.images.broken import Broken, find_broken
from partlabel.data.images.dataset import eval_transform, train_transform
from partlabel.data.tables.label_table import LabelTable
from partlabel.methods import Method
from partlabel.nn.backbone import Backbone
from partlabel.training.config import TrainingConfig


class Where(NamedTuple):
    """The feature cache as a tagger uses it.

    Attributes:
        used: Whether the cache is used.
        folder: Folder of the cache; None for the default, in the user's cache folder.
    """

    used: bool = True
    folder: str | Path | None = None


def uses_cache(frozen: bool, config: TrainingConfig) -> bool:
    """Return whether a run trains on cached features.

    Args:
        frozen: Whether no part of the backbone is trained.
        config: Training configuration.
    """
    return config.cache == "features" or (config.cache is None and frozen)


def if_used(backbone: Backbone, config: TrainingConfig) -> TrainingConfig | None:
    """Return the training configuration if the run trains on cached features of a backbone, else None."""
    return config if uses_cache(backbone.is_frozen, config) else None


def where_of(config: TrainingConfig) -> Where:
    """Return the cache that a run uses."""
    return Where(config.cache != "none", config.cache_dir)


def look(
    backbone: Backbone, size: int, table: LabelTable, config: TrainingConfig, views: int | None = None
) -> tuple[list[Features], list[Broken]]:
    """Compute or load the features that training needs; also return the images that cannot be read.

    Args:
        backbone: Backbone of the features; a pooling that is not fitted yet is fitted on these images.
        size: Side of the images in pixels.
        table: Images.
        config: Training configuration.
        views: Number of views of each image; None for that of `config`.
    """
    expected = backbone.preprocessing
    augment = None if config.augment == "none" else train_transform(size, expected, config.augment)
    limit = None if config.cache_size is None else in_bytes(config.cache_size)
    return feature_cache.lookup(
        backbone,
        table,
        eval_transform(size, expected),
        augment,
        views or config.cache_views,
        size,
        config.cache_dir,
        config.workers,
        limit,
    )


def finder(
    backbone: Callable[[], Backbone],
    frozen: bool,
    size: int,
    config: TrainingConfig,
    views: int | None = None,
) -> Callable[[LabelTable], list[Broken]]:
    """Return the function that finds images that cannot be read; where features are cached, it also computes them.

    Args:
        backbone: Builds the backbone that training begins with; called when it is first needed.
        frozen: Whether no part of the backbone is trained.
        size: Side of the images in pixels.
        config: Training configuration.
        views: Number of views of each image; None for that of `config`.
    """
    if not uses_cache(frozen, config):
        return find_broken
    built: list[Backbone] = []

    def find(table: LabelTable) -> list[Broken]:
        if not built:
            built.append(backbone())
        return look(built[0], size, table, config, views)[1]

    return find


def there(model: Method, view: tuple[int, Preprocessing], table: LabelTable, where: Where) -> Features | None:
    """Return the cached features of a table's plain images; None if there are none. Reads no image.

    Args:
        model: Method with the backbone; if the head takes only the mean of the map, the cached means are enough.
        view: Side of the images in pixels, and the backbone's preprocessing.
        table: Images.
        where: Cache.
    """
    if not where.used or table.root is None:
        return None
    assert isinstance(model.backbone, Backbone)
    means = model.head.needs_only_mean()
    return feature_cache.stored(model.backbone, table, eval_transform(*view), view[0], where.folder, means)


def cache_of(training: object, trust: bool) -> Where:
    """Return the feature cache of a loaded tagger.

    Args:
        training: The key `training` of `config.json`, which may be anything.
        trust: Whether to use the folder that it names, rather than the user's own cache folder.
    """
    if not isinstance(training, dict):
        return Where()
    folder = training.get("cache_dir") if trust else None
    return Where(training.get("cache") != "none", folder if isinstance(folder, str) else None)
