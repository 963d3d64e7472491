"""The start of a project without any label: classes, a table of photos, and which photos to label first.

A proposal takes photos that are as different from each other as possible: farthest-first traversal (Gonzalez,
"Clustering to minimize the maximum intercluster distance", Theoretical Computer Science 38, 1985), which is within a
factor of 2 of the best k-centre clustering.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from partlabel.core.labels import UNKNOWN
from partlabel.core.messages import some
from partlabel.core.text_files import listed_in
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.of_images import table_of
from partlabel.data.tables.splits import without_broken
from partlabel.data.tables.validation import check_classes, repeated
from partlabel.nn.classes import Classes
from partlabel.training import caching, settings_search
from partlabel.training.config import TrainingConfig
from partlabel.training.frozen_backbone import fit_pooling_on
from partlabel.training.recognizer import Recognizer

Sorting = Literal["uncertain", "present"]
"""Photos with the least certain probabilities first, or those with the most classes that are probably present."""


def class_names(given: str) -> tuple[str, ...]:
    """Read class names: a list separated by commas, or a file with one name per line.

    Raises:
        ValueError: There is no name, one is repeated or cannot be a class, or the file is neither UTF-8 nor UTF-16.
        FileNotFoundError: The text looks like a path, and there is no such file.
    """
    path = Path(given)
    if "," not in given and path.is_file():
        listed, where = listed_in(path), str(path)
    elif "," not in given and (path.suffix in (".txt", ".csv") or "/" in given):
        raise FileNotFoundError(f"there is no file of class names {given}")
    else:
        listed, where = given.split(","), "--classes"
    names = tuple(name.strip() for name in listed if name.strip())
    if not names:
        raise ValueError(
            f'{where} names no class: give a list such as --classes "dog, cat", or a file of names'
        )
    if twice := repeated(names):
        raise ValueError(
            f"{where} names classes more than once: {some(map(repr, twice))}; name each class once"
        )
    try:
        check_classes(names)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return names


def blank_table(photos: str | Path, classes: Sequence[str], skip_broken: bool = False) -> LabelTable:
    """Build the table of a folder of photos without any label."""
    found = table_of(photos, skip_broken)
    labels = np.full((len(found), len(classes)), UNKNOWN, np.int8)
    return LabelTable(found.images, tuple(classes), labels, root=found.root)


def review_order(
    probability: Float[np.ndarray, "image class"], sorting: Sorting = "uncertain"
) -> Int64[np.ndarray, " image"]:
    """Sort photos for review.

    Args:
        probability: Probability of every label.
        sorting: Order. `uncertain`: largest expected number of wrong labels at a threshold of one half first;
            `present`: largest number of labels with a probability of at least one half first.
    """
    uncertainty = np.minimum(probability, 1 - probability).sum(1)
    present = (probability >= 0.5).sum(1)
    keys = (-uncertainty,) if sorting == "uncertain" else (-probability.max(1, initial=0), -present)
    return np.lexsort(keys)


def proposed(
    tagger: Recognizer, table: LabelTable, count: int, config: TrainingConfig, skip_broken: bool = False
) -> LabelTable:
    """Choose photos that differ as much as possible, in the order in which to label them.

    Args:
        tagger: Tagger with a frozen backbone, not fitted.
        table: Label table of all photos.
        count: Number of photos.
        config: Configuration of the feature cache.
        skip_broken: Whether to leave out photos that cannot be read.

    Raises:
        ValueError: Photos cannot be read, and `skip_broken` is false.
    """
    backbone = tagger.initial_backbone(config.seed)
    size = tagger.settings["image_size"]
    find = caching.finder(lambda: backbone, True, size, config, 1)
    table, _ = without_broken(table, np.ones(len(table), bool), skip_broken, find)
    fit_pooling_on(backbone, (size, backbone.preprocessing), table, caching.if_used(backbone, config))
    maps = settings_search.pooled_maps(
        backbone.eval(), table, tagger.settings, config, Classes(table.classes)
    )
    return table[farthest_first(maps, count).numpy()]


def farthest_first(features: Float[Tensor, "image dim"], count: int) -> Int64[Tensor, " chosen"]:
    """Choose images one by one, each the farthest from those chosen before; the first is the most typical one.

    Args:
        features: One feature per image, compared by direction.
        count: Number of images to choose; all if there are fewer.
    """
    unit = normalize(features.float(), dim=1)
    nearest = torch.full((len(unit),), torch.inf)
    chosen = [int((unit @ unit.mean(0)).argmax())]
    while len(chosen) < min(count, len(unit)):
        distance = 1 - unit @ unit[chosen[-1]]
        nearest = torch.minimum(nearest, distance)
        nearest[chosen] = -torch.inf
        chosen.append(int(nearest.argmax()))
    return torch.tensor(chosen)
