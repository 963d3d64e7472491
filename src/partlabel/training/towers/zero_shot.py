"""Scores of classes by their names, for the training of taggers: what a tower says about photos without any label."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from partlabel.core.progress_bar import say
from partlabel.nn.backbone import Backbone
from partlabel.training.config import TrainingConfig
from partlabel.training.towers.tower import AlignedTower


def check(settings: Mapping[str, Any], config: TrainingConfig, full_batch: bool) -> None:
    """Check that a run can use the tower that it is given.

    Args:
        settings: Settings of the tagger.
        config: Training configuration.
        full_batch: Whether the full-batch solver fits the tagger.

    Raises:
        ValueError: It cannot; the message says what to do.
        FileNotFoundError: The folder holds no tower.
    """
    if config.tower is None:
        return
    if not full_batch:
        raise ValueError(
            "a tower informs --method auto, evidence and text_prior, and this run trains "
            f"{settings['method']} by steps: leave --tower out, or leave out --method and --weight-decay"
        )
    tower = AlignedTower.load(config.tower)
    if settings["image_size"] != tower.encoders.image_size or settings["pool"] != 1:
        raise ValueError(
            f"the tower {config.tower} was aligned on images of {tower.encoders.image_size} pixels without pooling: "
            f"give --image-size {tower.encoders.image_size} and leave --pool out, or align again (partlabel align)"
        )


def name_scores(
    means: Float[Tensor, "image channel"],
    classes: Sequence[str],
    backbone: Backbone,
    name: str,
    config: TrainingConfig,
) -> Float[Tensor, "image class"] | None:
    """Compute the logits of classes by their names; None without a tower.

    Args:
        means: Mean of the feature map of each image.
        classes: Class names.
        backbone: Backbone of the features.
        name: Name of the backbone.
        config: Training configuration, which may name a tower.
    """
    if config.tower is None:
        return None
    tower = AlignedTower.load(config.tower, config.cache_dir)
    tower.check_backbone(backbone, name)
    say(f"Classes are compared with the photos by their names, by the tower {config.tower}")
    return tower.scale * tower.similarity(means, classes)
