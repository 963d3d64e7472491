"""Captions in the demo: every second scene has one, and a recogniser learns from scenes, known labels and captions.

A caption names about half of what a scene shows. The recogniser needs the image alone; where an unknown label is filled
in, the caption of its scene is evidence beside the image, and is named in the reason.
"""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from partlabel.core.labels import PRESENT, UNKNOWN

if TYPE_CHECKING:
    import polars as pl

    from partlabel.data.tables.filled import FilledTable
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.tagger import Tagger

EMBEDDER = "words"
"""Needs no package, and is the same everywhere."""
EXPLAINED = 300
"""Scenes whose new labels are explained; their photos are read once more."""


class UnknownScores(NamedTuple):
    """The mAP on the unknown training labels, by the image alone and with captions."""

    image: float
    captions: float


def add_captions(truth: "LabelTable", seed: int) -> "LabelTable":
    """Write `captions.csv` into the folder of the scenes, and return the table with these texts.

    Args:
        truth: Scenes with all labels known.
        seed: Random seed of the captions.
    """
    from dataclasses import replace

    from partlabel.demo.scenes.captions import captions, of_quality, save_captions

    texts = tuple(of_quality(captions(truth.labels, truth.classes, seed), "half missing", seed))
    save_captions(truth.images, texts, Path(truth.root or ".") / "captions.csv")
    return replace(truth, texts=texts)


def learn(table: "LabelTable", out: Path, image_size: int, cache_dir: Path, seed: int) -> "Tagger":
    """Train a linear head on the frozen backbone with the method `evidence`.

    Args:
        table: Scenes with captions.
        out: Run folder.
        image_size: Side of the scenes in pixels.
        cache_dir: Folder of the feature cache.
        seed: Random seed.
    """
    from partlabel.tagger import Tagger

    tagger = Tagger(table.classes, method="evidence", head="rooted_average", image_size=image_size)
    return tagger.fit(
        table, out=out, embedder=EMBEDDER, cache="features", cache_dir=str(cache_dir), seed=seed
    )


def unknown_scores(tagger: "Tagger", train: "LabelTable", truth: "LabelTable") -> UnknownScores:
    """Score the out-of-fold predictions of the unknown labels.

    Args:
        tagger: Result of `learn`.
        train: Training scenes.
        truth: The same scenes with all labels known.
    """
    from partlabel.evaluation.metrics import evaluate

    kept = tagger.out_of_fold
    assert kept is not None
    labels = np.where(train.labels == UNKNOWN, truth.labels, UNKNOWN).astype(np.int8)
    informed = kept.logits if kept.with_texts is None else kept.with_texts
    return UnknownScores(*(evaluate(each, labels, train.classes).map for each in (kept.logits, informed)))


def explained(tagger: "Tagger", run: Path, train: "LabelTable", filled: "FilledTable") -> "pl.DataFrame":
    """Collect the reasons for the new present labels of the first `EXPLAINED` scenes.

    Args:
        tagger: Result of `learn`.
        run: Its run folder.
        train: Training scenes.
        filled: The same scenes, filled.
    """
    from partlabel.review import explain_fill
    from partlabel.training.run_folder import Run

    some = slice(EXPLAINED)
    return explain_fill.explain(tagger, Run(run), train[some], filled[some])


def example_of(reasons: "pl.DataFrame", train: "LabelTable", truth: "LabelTable") -> str:
    """Return the most probable new label, rightly present, whose reason names a caption first; empty without one."""
    right = {
        (truth.images[row], truth.classes[column])
        for row, column in np.argwhere((truth.labels == PRESENT) & (train.labels == UNKNOWN)).tolist()
    }
    told = (
        f"{image}: {name}, probability {probability:.2f}; {reason}"
        for image, name, probability, reason in reasons.sort("probability", descending=True).iter_rows()
        if reason.startswith("text: ") and (image, name) in right
    )
    return next(told, "")
