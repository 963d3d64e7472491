"""Reasons for the labels that `fill` made, as a table: one row per new present label."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from jaxtyping import Float
from scipy.special import expit

from partlabel.core.files import atomic_write
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.data.mentions import mentioned
from partlabel.data.tables.filled import FilledTable
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.splits import aligned
from partlabel.review import explanations, predictions_cache
from partlabel.review.filled_reasons import LabelEvidence, reason_of_label
from partlabel.training.run_folder import Run

if TYPE_CHECKING:
    from partlabel.tagger import Tagger

MOST_COMPARED = 2_000
"""Maximum number of labels for which similar photos are counted, which takes a hundredth of a second each."""


def explain(
    tagger: "Tagger",
    run: Run,
    before: LabelTable,
    after: FilledTable,
    batch_size: int = 64,
    workers: int = 0,
) -> pl.DataFrame:
    """Collect image, class, probability and reason of each new present label.

    Predictions and image embeddings of the photos are those of a review, and are cached in the run folder.

    Args:
        tagger: Tagger of the run, with its calibration.
        run: Run folder.
        before: Label table before filling, with the images of `after` in its order.
        after: Result of `Tagger.fill`.
        batch_size: Images per batch.
        workers: DataLoader worker processes; 0 loads in the main process.
    """
    before = aligned(before, tagger.classes)
    labels, classes = before.labels, before.classes
    places = np.argwhere((labels == UNKNOWN) & (after.table.labels == PRESENT)).tolist()
    if not places:
        return _frame([])
    looked = predictions_cache.load_predictions(tagger, run, before, batch_size, workers)
    logits, alike = looked.logits.copy(), explanations.ImageNeighbours(looked.features)
    if tagger.out_of_fold is not None:
        unseen, kept = tagger.out_of_fold.logits_of(before)
        logits[kept] = unseen[kept]
    filled = np.unique([row for row, _ in places])
    informed, shares = _with_words(tagger, before[filled], logits[filled], batch_size, workers)
    rows = []
    for row, column in places:
        at = int(np.searchsorted(filled, row))
        votes: list[explanations.Vote] = []
        if tagger.completion is not None:
            votes = explanations.votes(tagger.completion.votes, informed[at], labels[row], column, classes)
        similar = (0, 0)
        if len(places) <= MOST_COMPARED:
            near = alike.near(row, np.ascontiguousarray(labels[:, column]))
            similar = near.showing, near.of
        evidence = LabelEvidence(
            float(expit(float(logits[row, column]))),
            {name: float(share[at, column]) for name, share in shares.items()},
            _cited(before, row, classes[column]),
            votes,
            similar,
        )
        found = float(after.probability[row, column])
        rows.append((before.images[row], classes[column], round(found, 4), reason_of_label(evidence)))
    return _frame(rows)


def _with_words(
    tagger: "Tagger",
    table: LabelTable,
    logits: Float[np.ndarray, "image class"],
    batch_size: int,
    workers: int,
) -> tuple[Float[np.ndarray, "image class"], Mapping[str, Float[np.ndarray, "image class"]]]:
    """Return the logits with the evidence of words, and the share of each source; no shares without evidence."""
    beside = tagger.beside(table, batch_size, workers)
    if tagger.texts is None or beside is None:
        return logits, {}
    return tagger.texts.logits(logits, beside), tagger.texts.shares(logits, beside)


def save(reasons: pl.DataFrame, path: Path) -> None:
    """Write the reasons as CSV."""
    with atomic_write(path) as aside:
        reasons.write_csv(aside)


def _cited(table: LabelTable, row: int, name: str) -> str:
    """Return the first text of a photo that mentions a class, else its first text; empty without one."""
    texts = () if table.texts is None else table.texts[row]
    naming = (text for text, found in zip(texts, mentioned([name], texts), strict=True) if found)
    return next(naming, texts[0] if texts else "")


def _frame(rows: list[tuple[str, str, float, str]]) -> pl.DataFrame:
    schema = {"image": pl.String, "class": pl.String, "probability": pl.Float64, "reason": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")
