"""Measure what fits beside a review gain: mAP on other photos after each fit, answer by answer.

    PARTLABEL_DATA=... python benchmarks/retraining.py --cache CACHE --seeds 3
    python benchmarks/retraining.py --table benchmarks/results/retraining.csv

A tenth of the labels of some training photos of coco18 is known. A script that knows the truth answers pages of 24
photos in the order `class`, and the model (`bce` on the pooled features of the head `covariance`) is fitted again after
every 500 decisions, as `partlabel review --page 24 --retrain 500` does. The mAP is that of the model in use on 1,000
other photos of the part train. Figures: docs/review.md.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rows import options, read, stamp, write

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.evaluation import metrics
from partlabel.nn import heads
from partlabel.nn.classes import Classes
from partlabel.review.decisions import DecisionLog
from partlabel.review.grid import Grids
from partlabel.review.predictions_cache import Looked
from partlabel.review.questions import ANYTHING
from partlabel.review.refitting import Refitting
from partlabel.review.retraining import Retraining
from partlabel.review.session import Session
from partlabel.review.simulation import prepare
from partlabel.selection.cross_validation import folds
from partlabel.selection.search import fold_count
from partlabel.training.config import TrainingConfig

OTHERS = 1000
SIZE, EVERY, ANSWERS = 24, 500, 2000
HEAD = "covariance"


@dataclass(frozen=True)
class Row:
    """The model in use after some answers: `map` on other photos in percent, and what the page said of the fit."""

    images: int
    share: float
    seed: int
    answers: int
    known: int
    map: float
    said: str
    seconds: float
    commit: str
    versions: str


class Photos:
    """Photos under review and others, with the truth of both.

    Args:
        whole: Label table of the collection.
        features: Features of its part train.
        images: Number of photos under review.
        known: Share of their labels that is known.
        seed: Random seed of the draw.
    """

    def __init__(
        self, whole: LabelTable, features: torch.Tensor, images: int, known: float, seed: int
    ) -> None:
        train, random = whole.part("train"), np.random.RandomState(seed)
        rows = random.permutation(len(train))[: images + OTHERS]
        table = train[rows].with_split(["train"] * images + ["test"] * OTHERS)
        self.truth = np.array(table.labels)
        labels = np.where(random.rand(*self.truth.shape) < known, self.truth, UNKNOWN).astype(np.int8)
        labels[images:] = UNKNOWN
        self.table, self.images = table.with_labels(labels), images
        chosen = features[torch.from_numpy(rows)]
        with torch.no_grad():
            self.maps = heads.get(HEAD)(chosen.shape[1], Classes(table.classes)).pooled(chosen)


def review(given: Photos, seed: int) -> Iterator[tuple[int, Session, float]]:
    """Answer pages; yield answers so far, the session and the seconds of a fit, after the first one and each later."""
    rows = np.arange(given.images)
    fold = folds(torch.from_numpy(given.table.labels[rows].copy()), fold_count(len(rows)), seed)
    fits = Refitting(given.table, given.maps, rows, fold, "bce", config=TrainingConfig(seed=seed))
    began = time.monotonic()
    first = fits.fit(given.table.labels)
    unit = torch.nn.functional.normalize(given.maps).half().numpy()
    with tempfile.TemporaryDirectory() as folder:
        log = DecisionLog(Path(folder) / "decisions.sqlite")
        session = Session(given.table, Looked(first.logits, unit), log, first.completion, part="train")
        retraining = Retraining(session, fits, EVERY)
        retraining.start()
        yield 0, session, time.monotonic() - began
        pages, said = Grids(session, SIZE), ""
        for number in range(1, ANSWERS // SIZE + 1):
            page = pages.next("desk", "script", ANYTHING)
            assert page is not None
            right = {
                tile.row: "present" if given.truth[tile.row, page.column] == PRESENT else "absent"
                for tile in page.tiles
            }
            pages.confirm("desk", "script", page.ask, page.column, right)
            began = time.monotonic()
            retraining.wait()
            if session.retrained != said:
                said = session.retrained
                yield number * SIZE, session, time.monotonic() - began
        log.close()


def compute(given: Photos, known: float, seed: int) -> Iterator[Row]:
    """Compute the rows of a seed."""
    for answers, session, seconds in review(given, seed):
        others = metrics.evaluate(
            session.logits[given.images :], given.truth[given.images :], given.table.classes
        )
        count = int((session.labels[: given.images] != UNKNOWN).sum())
        yield Row(
            given.images, known, seed, answers, count, round(100 * others.map, 2), session.retrained,
            round(seconds, 1), *stamp(),
        )  # fmt: skip


def table_of(found: list[Row]) -> str:
    """Format the rows as Markdown."""
    lines = ["| seed | answers | known labels | mAP on other photos | seconds |", "|---:" * 5 + "|"]
    lines += [f"| {r.seed} | {r.answers:,} | {r.known:,} | {r.map:.1f} | {r.seconds:.0f} |" for r in found]
    return "\n".join(lines)


def main() -> None:
    """Compute the rows that are not there yet, or print their table."""
    args = options(__doc__, "retraining.csv", 1_500).parse_args()
    if args.table:
        print(table_of(read(args.table, Row)))
        return
    root = Path(os.environ["PARTLABEL_DATA"]) / "coco18"
    whole = LabelTable.read(root / "labels.csv", images=root)
    features = prepare(whole, HEAD, args.cache).train
    done = read(args.out, Row)
    for seed in args.seeds:
        if any((row.images, row.share, row.seed) == (args.images, args.known, seed) for row in done):
            continue
        for found in compute(Photos(whole, features, args.images, args.known, seed), args.known, seed):
            done.append(found)
            print(found, flush=True)
        write(args.out, done)
    print(table_of(done))


if __name__ == "__main__":
    main()
