"""Words in training and afterwards: texts beside the photos, class names, and their evidence for unknown labels."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float

from partlabel.core.types import TextFeatures, WordFeatures
from partlabel.data import embedders
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.text_features import text_features
from partlabel.nn.backbone import Backbone
from partlabel.posthoc.text_evidence import TextEvidence, fit_text_evidence
from partlabel.selection.advice import unknown_weight
from partlabel.selection.cross_validation import folds
from partlabel.training.config import TrainingConfig
from partlabel.training.towers._base import Tower
from partlabel.training.towers.photos import PhotoReading
from partlabel.training.towers.zero_shot import name_logits

FOLDS = 3
"""Folds of the sources of evidence that are fitted after training."""


class LearnedWords(NamedTuple):
    """What texts and class names say about unknown labels.

    Attributes:
        evidence: The fitted sources.
        log_odds: Out-of-fold log-odds of the training images with them.
    """

    evidence: TextEvidence
    log_odds: Float[np.ndarray, "image class"]


def training_texts(table: LabelTable, config: TrainingConfig) -> TextFeatures | None:
    """Compute the features of the texts of a table; None if it has no texts."""
    if table.texts is None:
        return None
    return text_features(table.texts, table.classes, config.embedder, config.cache_dir)


def later_words(
    table: LabelTable,
    evidence: TextEvidence,
    at_hand: Tower | str,
    reading: PhotoReading,
    given: tuple[Backbone, int] | None = None,
    readable: Bool[np.ndarray, " image"] | None = None,
) -> WordFeatures:
    """Compute what evidence needs of photos: features of their texts, and their logits by class names.

    Args:
        table: Label table, with or without texts.
        evidence: What was learned from words.
        at_hand: The tower of the tagger; without one the name of the tagger, for the message.
        reading: How photos are read for a tower.
        given: Backbone at hand, and the side of its images in pixels.
        readable: Photos that can be read; the logits of others are zeros. None for all.

    Raises:
        ValueError: The evidence needs a tower, and there is none, or another one.
    """
    folder, names = reading.where.folder, evidence.names or table.classes
    text = evidence.no_text(len(table))
    if text is not None and table.texts is not None:
        home = None if folder is None else str(folder)
        text = text_features(table.texts, names, evidence.embedder, home)
    if not evidence.tower:
        return WordFeatures(text)
    tower = _same_tower(at_hand, evidence)
    rows = np.arange(len(table)) if readable is None else np.flatnonzero(readable)
    logits = torch.zeros(len(table), evidence.classes)
    if len(rows):
        backbone, size = given or (None, 0)
        logits[rows] = name_logits(tower, table[rows], names, reading, backbone, size)
    return WordFeatures(text, logits)


def _same_tower(at_hand: Tower | str, evidence: TextEvidence) -> Tower:
    """Check that a tower is that of the training."""
    fix = "give the tower of the training by --tower, or train again"
    if isinstance(at_hand, str):
        raise ValueError(
            f"a tower informs the unknown labels of {at_hand}, and its run folder holds none: {fix}"
        )
    if at_hand.digest != evidence.tower:
        raise ValueError(f"the {at_hand.name} is another one than that of the training: {fix}")
    return at_hand


def learned_words(
    logits: Float[np.ndarray, "image class"],
    table: LabelTable,
    beside: WordFeatures,
    config: TrainingConfig,
    groups: Sequence[str] | None = None,
    tower: Tower | None = None,
) -> LearnedWords | None:
    """Learn what texts and class names say about unknown labels; None where that is nothing.

    Args:
        logits: Out-of-fold logits of the training images.
        table: The training images.
        beside: Features of their texts, and their logits by class names.
        config: Training configuration.
        groups: Group of each image; images of one group share a fold.
        tower: Tower that the logits by class names come from.
    """
    if beside.empty or len(table) < FOLDS:
        return None
    labels = torch.from_numpy(np.array(table.labels))
    fold = folds(labels, FOLDS, config.seed, groups).numpy()
    name = "" if beside.text is None else embedders.resolved(config.embedder)
    digest = "" if tower is None else tower.digest
    found = fit_text_evidence(logits, table.labels, beside, name, fold, unknown_weight(labels), digest)
    return None if found is None else LearnedWords(*found)
