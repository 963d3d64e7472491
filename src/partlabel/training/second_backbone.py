"""A second backbone that informs unknown labels of training images (source `second_backbone`)."""

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core.progress_bar import say, track
from partlabel.data.images.loader import loader
from partlabel.data.images.threads import ahead
from partlabel.data.tables.label_table import LabelTable
from partlabel.nn import backbone as backbones
from partlabel.nn.backbone import Backbone
from partlabel.nn.backbones import full_name
from partlabel.nn.power import root
from partlabel.training import caching
from partlabel.training.config import TrainingConfig
from partlabel.training.datasets import plain_images


def check(settings: Mapping[str, Any], config: TrainingConfig, full_batch: bool) -> None:
    """Check that a run can use the second backbone that it is given.

    Args:
        settings: Settings of the tagger.
        config: Training configuration.
        full_batch: Whether the full-batch solver fits the tagger.

    Raises:
        ValueError: It cannot; the message says what to do.
    """
    if config.teacher_backbone is None:
        return
    if not full_batch:
        raise ValueError(
            "--teacher-backbone informs --method auto and --method evidence, and this run trains "
            f"{settings['method']} by steps: leave it out, or leave out --method and --weight-decay"
        )
    if full_name(config.teacher_backbone) == full_name(settings["backbone"]):
        raise ValueError(
            f"--teacher-backbone {config.teacher_backbone} is the backbone of the tagger, which informs it already: "
            "name another one (partlabel methods --backbones), or leave it out"
        )


def second_features(
    table: LabelTable, settings: Mapping[str, Any], config: TrainingConfig
) -> Float[Tensor, "image second_feature"] | None:
    """Compute the features of the second backbone: rooted means of its map, standardised; None without one.

    Args:
        table: Training images.
        settings: Settings of the tagger; both backbones see images of its size.
        config: Training configuration, which may name a second backbone.
    """
    if config.teacher_backbone is None:
        return None
    size = settings["image_size"]
    backbone = _averaging(config.teacher_backbone, size)
    images = plain_images(backbone, (size, backbone.preprocessing), table, config)
    cached = caching.uses_cache(backbone.is_frozen, config)
    batches = loader(images, config.batch_size, workers=0 if cached else config.workers)
    doing = "Pooling features of the second backbone"
    with torch.no_grad():
        means = torch.cat(
            [
                backbone(batch.inputs).float().flatten(1)
                for batch in track(ahead(batches), doing, len(table), "photos", config.batch_size)
            ]
        )
    say(f"{config.teacher_backbone} informs the unknown labels of the training images")
    rooted = root(means)
    return (rooted - rooted.mean(0)) / rooted.std(0).clamp(min=1e-6)


def _averaging(name: str, size: int) -> Backbone:
    """Build a frozen backbone that averages its map, so that the cache holds a vector per image."""
    backbone = backbones.create(name, trainable="none", image_size=size).eval()
    with torch.no_grad():
        side = backbone(torch.zeros(1, 3, size, size)).shape[-1]
    assert isinstance(backbone.stem, nn.Sequential)
    backbone.stem.append(nn.AvgPool2d(side).eval())
    return backbone
