"""Scores of classes by their names: what a tower says about photos without any label.

In training they inform the teacher, and when a table is filled its unknown labels; alone they predict classes
without any label.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from partlabel import methods
from partlabel.core.labels import UNKNOWN
from partlabel.core.progress_bar import say
from partlabel.core.targets import Targets
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.splits import without_broken
from partlabel.nn.backbone import Backbone
from partlabel.training import caching
from partlabel.training.caching import Where
from partlabel.training.config import TrainingConfig
from partlabel.training.towers import loading
from partlabel.training.towers._base import Tower
from partlabel.training.towers.photos import PhotoReading, means_for
from partlabel.transfer.sources import Observed
from partlabel.transfer.teacher import Teacher

SOURCE = "zero_shot"
"""Name of the evidence source that takes the scores."""


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
    needs_tower = not full_batch and methods.get(settings["method"]).needs_tower
    if config.tower is None:
        if needs_tower:
            raise ValueError(
                f"the method {settings['method']} compares photos with class names through a tower, and there is "
                "none: give --tower FOLDER (partlabel align makes one; docs/towers.md), or another --method"
            )
        return
    if not full_batch and not needs_tower:
        raise ValueError(
            "a tower informs --method auto, evidence and text_prior, and this run trains "
            f"{settings['method']} by steps: leave --tower out, or leave out --method and --weight-decay"
        )
    loading.load(config.tower)


def training_scores(
    tower: Tower | None,
    table: LabelTable,
    backbone: Backbone,
    settings: Mapping[str, Any],
    config: TrainingConfig,
) -> Float[Tensor, "image class"] | None:
    """Compute the logits of the classes of training photos by their names; None without a tower.

    Args:
        tower: Tower.
        table: The training photos.
        backbone: Frozen backbone of the run, whose features are used if they are those of the tower.
        settings: Settings of the tagger.
        config: Training configuration.
    """
    if tower is None:
        return None
    say(f"Classes are compared with the photos by their names, by the tower {config.tower}")
    keep = caching.uses_cache(backbone.is_frozen, config)
    reading = PhotoReading(caching.where_of(config), keep, config.batch_size, config.workers)
    given = backbone if settings["pool"] == 1 else None
    return name_logits(tower, table, table.classes, reading, given, settings["image_size"])


def name_logits(
    tower: Tower,
    table: LabelTable,
    names: Sequence[str],
    reading: PhotoReading,
    given: Backbone | None = None,
    size: int = 0,
) -> Float[Tensor, "image class"]:
    """Compute the logits of classes by their names; the arguments are those of `means_for`, and the class names."""
    means = means_for(tower, table, reading, given, size)
    return tower.scale * tower.similarity(means, names) + (tower.bias or 0.0)


def predict_names(
    given: str | Path,
    photos: LabelTable,
    names: Sequence[str],
    skip_broken: bool = False,
    batch_size: int = 64,
    workers: int = 0,
) -> tuple[LabelTable, Float[np.ndarray, "image class"]]:
    """Predict classes by their names alone.

    The logits of a tower that was trained with a sigmoid are log-odds. Those of others are standardised by class over
    the photos, and centred at the class's share of the softmax: such probabilities rank photos, and are not calibrated.

    Args:
        given: Folder of the tower.
        photos: Photos.
        names: Class names.
        skip_broken: Whether to leave out photos that cannot be read.
        batch_size: Images per batch.
        workers: DataLoader worker processes; 0 loads in the main process.

    Returns:
        The photos that can be read, and the probability of every class in each.

    Raises:
        ValueError: Photos cannot be read, and `skip_broken` is false.
    """
    tower = loading.load(given)
    photos, _ = without_broken(photos, np.ones(len(photos), bool), skip_broken)
    logits = name_logits(tower, photos, names, PhotoReading(Where(), False, batch_size, workers))
    return photos, (logits if tower.bias is not None else _standardised(logits)).sigmoid().numpy()


def _standardised(logits: Float[Tensor, "image class"]) -> Float[Tensor, "image class"]:
    """Compute log-odds as the teacher does where no label is known."""
    blank = torch.full(logits.shape, UNKNOWN, dtype=torch.int8)
    seen = Observed(
        blank, Targets.known(blank), torch.zeros(len(logits), dtype=torch.int64), zero_shot=logits
    )
    return Teacher.of(seen, (SOURCE,)).fit(seen)
