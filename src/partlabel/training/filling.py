"""Logits for prediction and filling, of the images of a table that can be read."""

import numpy as np
from jaxtyping import Float, Int

from partlabel.core.labels import UNKNOWN
from partlabel.data.images.dataset import find_broken, skip
from partlabel.data.tables.filled import FilledTable
from partlabel.data.tables.label_table import LabelTable
from partlabel.training.inference import scored_readable
from partlabel.training.recognizer import Recognizer


def readable(
    tagger: Recognizer, table: LabelTable, batch_size: int, workers: int, skip_broken: bool
) -> tuple[LabelTable, Float[np.ndarray, "image class"]]:
    """Compute logits of a table's images; return the table of those that can be read, and the logits.

    Args:
        tagger: Fitted tagger.
        table: Label table.
        batch_size: Images per batch.
        workers: DataLoader worker processes; 0 loads in the main process.
        skip_broken: Whether to leave out images that cannot be read.

    Raises:
        ValueError: Images cannot be read, and `skip_broken` is false; the message lists all of them.
    """
    rows, logits = scored_readable(
        tagger.fitted_model(), tagger.view, table, batch_size, workers, skip_broken, tagger.cache
    )
    if len(rows) < len(table):
        table = table[rows] if len(rows) else skip(table, find_broken(table))
    return table, logits


def with_readable(
    tagger: Recognizer, before: FilledTable, batch_size: int, workers: int, skip_broken: bool
) -> tuple[FilledTable, Float[np.ndarray, "blank_image class"]]:
    """Compute logits of the images with unknown labels; return the table without unreadable images, and the logits.

    Arguments and errors are those of `readable`.
    """
    table = before.table
    blank = (table.labels == UNKNOWN).any(axis=1)
    if not blank.any():
        return before, np.zeros((0, len(tagger.classes)), np.float32)
    rows, logits = _unseen_readable(tagger, table[blank], batch_size, workers, skip_broken)
    kept = ~blank
    kept[np.flatnonzero(blank)[rows]] = True
    if not kept.any():
        skip(table, find_broken(table))
    return before[kept], logits


def _unseen_readable(
    tagger: Recognizer, table: LabelTable, batch_size: int, workers: int, skip_broken: bool
) -> tuple[Int[np.ndarray, " image"], Float[np.ndarray, "image class"]]:
    """Compute logits as `Tagger.logits_unseen`, of the images that can be read; return their rows and logits."""
    model, view, cache = tagger.fitted_model(), tagger.view, tagger.cache
    if tagger.out_of_fold is None:
        return scored_readable(model, view, table, batch_size, workers, skip_broken, cache)
    logits, kept = tagger.out_of_fold.logits_of(table)
    others = np.flatnonzero(~kept)
    if len(others):
        rows, found = scored_readable(model, view, table[others], batch_size, workers, skip_broken, cache)
        logits[others[rows]], kept[others[rows]] = found, True
    return np.flatnonzero(kept), logits[kept]
