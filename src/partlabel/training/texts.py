"""Texts beside the photos, in training and afterwards: their features, and their evidence for unknown labels."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from partlabel.core.types import TextFeatures
from partlabel.data import embedders
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.text_features import text_features
from partlabel.posthoc.text_evidence import TextEvidence, fit_text_evidence
from partlabel.selection.advice import unknown_weight
from partlabel.selection.cross_validation import folds
from partlabel.training.config import TrainingConfig

FOLDS = 3
"""Folds of the sources of texts that are fitted after training."""


def training_texts(table: LabelTable, config: TrainingConfig) -> TextFeatures | None:
    """Compute the features of the texts of a table; None if it has no texts."""
    if table.texts is None:
        return None
    return text_features(table.texts, table.classes, config.embedder, config.cache_dir)


def later_texts(
    table: LabelTable, evidence: TextEvidence | None, cache_dir: str | None = None
) -> TextFeatures | None:
    """Compute the features of the texts of a table that evidence needs; None without evidence.

    Args:
        table: Label table, with or without texts.
        evidence: What was learned from texts.
        cache_dir: Folder of caches.
    """
    if evidence is None:
        return None
    if table.texts is None:
        return evidence.no_text(len(table))
    return text_features(table.texts, table.classes, evidence.embedder, cache_dir)


def learned_texts(
    logits: Float[np.ndarray, "image class"],
    table: LabelTable,
    text: TextFeatures | None,
    config: TrainingConfig,
    groups: Sequence[str] | None = None,
) -> tuple[TextEvidence, Float[np.ndarray, "image class"]] | None:
    """Learn from the texts of the training images what they say about unknown labels; None where that is nothing.

    Args:
        logits: Out-of-fold logits of the training images.
        table: The training images.
        text: Features of their texts; None without texts.
        config: Training configuration.
        groups: Group of each image; images of one group share a fold.

    Returns:
        What was learned, and the out-of-fold log-odds of the training images with it.
    """
    if text is None or len(table) < FOLDS:
        return None
    labels = torch.from_numpy(np.array(table.labels))
    fold = folds(labels, FOLDS, config.seed, groups).numpy()
    name = embedders.resolved(config.embedder)
    return fit_text_evidence(logits, table.labels, text, name, fold, unknown_weight(labels))
