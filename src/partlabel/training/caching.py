"""When a run uses the feature cache, and what it is asked for.

With a frozen backbone the cache is used unless `--cache none` is given: training, and later `evaluate`, `tune` and
`fill`, then find the features of a photo that was decoded once. The first look at the photos, which finds those that
cannot be read, is the pass that computes the features.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from partlabel.core.messages import in_bytes
from partlabel.core.types import Preprocessing
from partlabel.data.cache import feature_cache
from partlabel.data.cache.feature_store import Stored
from partlabel.data.images.broken import Broken, find_broken
from partlabel.data.images.dataset import eval_transform, train_transform
from partlabel.data.tables.label_table import LabelTable
from partlabel.methods import Method
from partlabel.nn.backbone import Backbone
from partlabel.nn.heads.average import Average
from partlabel.training.config import TrainingConfig


class Where(NamedTuple):
    """The feature cache as a tagger uses it.

    Attributes:
        used: Whether at all.
        folder: Where it is; the user's if none.
    """

    used: bool = True
    folder: str | Path | None = None


def uses_cache(frozen: bool, config: TrainingConfig) -> bool:
    """Whether a run trains on cached features.

    Args:
        frozen: Whether nothing of the backbone is trained.
        config: How it trains.
    """
    return config.cache == "features" or (config.cache is None and frozen)


def if_used(model: Method, config: TrainingConfig) -> TrainingConfig | None:
    """How a run trains, if it trains on cached features; None if not."""
    assert isinstance(model.backbone, Backbone)
    return config if uses_cache(model.backbone.is_frozen, config) else None


def where_of(config: TrainingConfig) -> Where:
    """The cache that a run uses."""
    return Where(config.cache != "none", config.cache_dir)


def look(
    backbone: Backbone, size: int, table: LabelTable, config: TrainingConfig, views: int | None = None
) -> tuple[list[Stored], list[Broken]]:
    """Compute the features that training needs, or find them; and the images that cannot be read.

    Args:
        backbone: Whose features; its pooling is fitted on these images if it is not yet.
        size: Side of the images.
        table: The images.
        config: How to train.
        views: How many; those that `config` asks for if none.
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
    """Return the function that finds images that cannot be read: where features are cached, the pass that does that.

    Args:
        backbone: Builds the backbone that training begins with; called when it is first needed.
        frozen: Whether none of it is trained.
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


def there(model: Method, view: tuple[int, Preprocessing], table: LabelTable, where: Where) -> Stored | None:
    """What earlier runs left of the plain images of a table; None if nothing. Reads no image.

    Args:
        model: Its backbone's features, or for a head that takes the mean of the map alone, those means.
        view: Side of the images, and what the backbone expects.
        table: The images.
        where: The cache.
    """
    if not where.used or table.root is None:
        return None
    assert isinstance(model.backbone, Backbone)
    head = type(model.head)
    means = issubclass(head, Average) and head.reduced is Average.reduced and not head.covariance_rank
    return feature_cache.stored(model.backbone, table, eval_transform(*view), view[0], where.folder, means)
