r"""Compare `partlabel train` without options with the best that anybody could have chosen: the gate of the defaults.

    PARTLABEL_DATA=... python benchmarks/out_of_the_box.py --out benchmarks/results/out-of-the-box.csv
    python benchmarks/out_of_the_box.py --table benchmarks/results/out-of-the-box.csv

A cell is a collection, a number of training images, a way to hide their labels and a seed (of the images, of what is
hidden and of the folds). In every cell all arms see the same labels and the same features of the frozen backbone, each
arm chooses its settings on the known labels alone, and is scored once on the test images:

auto         what `partlabel train` does without options: the same call, `partlabel.selection.search.search`
lr_ignored   logistic regression on average features, unknown labels ignored
lr_absent    the same, unknown labels taken for absent
METHOD/HEAD  one of our methods on one linear head, at the weight decay that its own search finds: those that `auto`
             compares, and (`rest`) the other heads of the methods that do not learn from predictions

The two regressions choose C by the cross-entropy of the known labels in 3 folds, as scikit-learn's `LogisticRegression`
with one C for all classes would (the solver is compared with scikit-learn's in the tests). Finished rows are not
computed again; with `--again`, those of `auto` and what it compares are, where they are of another commit.
"""

import argparse
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int8
from made_with import commit
from rows import read, stamp, training_rows, write
from torch.nn.functional import binary_cross_entropy_with_logits

from partlabel import LabelTable
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels
from partlabel.core.types import TextFeatures
from partlabel.data.tables.closure import without_rule_labels
from partlabel.demo import scenes
from partlabel.evaluation import metrics
from partlabel.methods import Method
from partlabel.nn.heads.covariance import Covariance
from partlabel.selection.candidates import FIXED, HEADS, Candidate, Rule, TrainingSet, build
from partlabel.selection.cross_validation import folds, predict
from partlabel.selection.search import fold_count, search
from partlabel.training.class_description import describe_classes
from partlabel.training.frozen_backbone import frozen_backbone, plain_view

PHOTO_SIZE, SCENE_SIZE, SCENES = 224, 128, 3_000
"""Side of the photos and of the drawn scenes in pixels; number of scenes, a fifth of which are test images."""
CHANNELS = 1_280
"""Of lite0's feature map: the first numbers of its covariance pooling are the means of these."""
REGRESSION_FOLDS = 3

Protocol = tuple[str, dict[str, float]]
"""How labels are hidden: a scheme of `partlabel hide`, and its options."""
PROTOCOLS: dict[str, Protocol] = {
    "uniform 2 %": ("uniform", {"known": 0.02}),
    "uniform 10 %": ("uniform", {"known": 0.1}),
    "uniform 50 %": ("uniform", {"known": 0.5}),
    "single positive": ("single_positive", {}),
    "positives only": ("positives_only", {}),
    "editor": ("editor", {}),
    "by source": ("by_source", {"known": 0.1}),
    "by prevalence": ("by_prevalence", {"known": 0.1}),
}
REGRESSIONS = {"lr_ignored": Rule("bce"), "lr_absent": Rule("assume_negative")}
GROUPS = ("auto", "regressions", "rest")


class Images(NamedTuple):
    """Images with complete labels, and their features.

    Attributes:
        table: With the parts `train` and `test`.
        features: Of every image: mean of each channel, then covariances.
    """

    table: LabelTable
    features: Float[torch.Tensor, "image feature"]

    def test(self) -> tuple[Float[torch.Tensor, "image feature"], Int8[np.ndarray, "image class"]]:
        """Return features and labels of the test images."""
        rows = np.flatnonzero(np.array(self.table.split) == "test")
        return self.features[torch.from_numpy(rows)], self.table.labels[rows]

    def test_map(self, model: Method) -> float:
        """Compute the mean AP of a fitted method on the test images in percent."""
        maps, labels = self.test()
        maps = maps if model.head.covariance_rank else maps[:, :CHANNELS]
        logits = predict(model, maps[..., None, None])
        return 100 * metrics.evaluate(logits.numpy(), labels, self.table.classes).map


@dataclass(frozen=True)
class Row:
    """One arm in one cell; `map` is the test mAP in percent, `cost` what the arm's settings were chosen by."""

    collection: str
    images: int
    protocol: str
    seed: int
    arm: str
    map: float
    method: str
    head: str
    weight_decay: float
    cost: float
    known: float
    known_present: float
    seconds: float
    commit: str
    versions: str

    @property
    def key(self) -> tuple[str, int, str, int, str]:
        """Return the fields that identify a row."""
        return self.collection, self.images, self.protocol, self.seed, self.arm


def collection(name: str, folder: str | None) -> Images:
    """A collection by name; features are computed once, and kept in the feature cache."""
    if name == "scenes":
        root, size = Path(folder or "runs/out-of-the-box") / "scenes", SCENE_SIZE
        table = scenes.draw(root, SCENES, seed=0, size=size)
    else:
        root, size = Path(os.environ["PARTLABEL_DATA"]) / name, PHOTO_SIZE
        table = LabelTable.read(root / "labels.csv", images=root)
    backbone = frozen_backbone(table.part("train"), Covariance.covariance_rank, size=size, cache_dir=folder)
    (view,) = plain_view(backbone, table, size, folder)
    found = view.take(np.arange(len(table)))
    return Images(table, torch.as_tensor(np.asarray(found)).float().reshape(len(table), -1))


def training_set(
    table: LabelTable,
    maps: Float[torch.Tensor, "image feature"],
    count: int,
    seed: int,
    text: TextFeatures | None = None,
) -> TrainingSet:
    """Divide training images into folds."""
    labels = torch.from_numpy(table.labels.copy())
    given = torch.from_numpy(without_rule_labels(table).labels.copy())
    fold = folds(labels, count, seed)
    return TrainingSet(maps, CHANNELS, labels, describe_classes(table), fold, text, given=given)


class Cell:
    """What the arms of a cell share: hidden labels and features of the training images."""

    def __init__(self, given: Images, images: int, protocol: Protocol, seed: int) -> None:
        rows = training_rows(given.table, images, seed)
        scheme, options = protocol
        self.table = given.table[rows].with_split(None).hide(scheme, seed=seed, **options)
        self.maps = given.features[torch.from_numpy(rows)]
        self.test, self.truth = given.test()
        self.given, self.seed = given, seed
        self._sets: dict[int, TrainingSet] = {}

    def training_set(self, count: int) -> TrainingSet:
        """Divide the training images into folds, which all arms share."""
        if count not in self._sets:
            self._sets[count] = training_set(self.table, self.maps, count, self.seed)
        return self._sets[count]

    def map(self, model: Method) -> float:
        """Mean AP of a fitted method on the test images in percent."""
        return self.given.test_map(model)


class Arm(NamedTuple):
    """An arm fitted in a cell: its name, what was chosen, and that fitted to all training images."""

    name: str
    chosen: Candidate
    model: Method
    seconds: float


def fitted(cell: Cell, groups: Collection[str], done: Collection[str]) -> Iterator[Arm]:
    """Choose the settings of each arm on the known labels of a cell, and fit it; arms that are done are left out."""
    data = cell.training_set(fold_count(len(cell.maps)))
    seen = set(done)
    if "auto" in groups and "auto" not in seen:
        found = search(data)
        yield Arm("auto", found.winner, found.model, found.seconds)
        for each in found.candidates:
            name = f"{each.rule}/{each.head}"
            seen.add(name)
            yield Arm(name, each, refit(data, each), each.seconds)
    if "regressions" in groups:
        few = cell.training_set(REGRESSION_FOLDS)
        for name in REGRESSIONS.keys() - seen:
            found = search(few, (REGRESSIONS[name],), ("average",), criterion=cross_entropy)
            yield Arm(name, found.winner, found.model, found.seconds)
    if "rest" in groups:
        for rule, head in product(FIXED, HEADS):
            if f"{rule}/{head}" not in seen:
                found = search(data, (rule,), (head,))
                yield Arm(f"{rule}/{head}", found.winner, found.model, found.seconds)


def refit(data: TrainingSet, chosen: Candidate) -> Method:
    """Fit a candidate of a search to all its training images."""
    method = build(data, chosen.rule, chosen.head, {})
    method.fit_full_batch(data.problem(chosen.head, data.design(chosen.head, {}), chosen.weight_decay))
    return method


def run(given: Images, key: tuple[str, int, str, int], groups: list[str], done: set[str]) -> Iterator[Row]:
    """Compute the rows of a cell that are not done, one arm after the other."""
    cell = Cell(given, key[1], PROTOCOLS[key[2]], key[3])
    labels = cell.table.labels
    known = labels != UNKNOWN
    shares = round(float(known.mean()), 5), round(float((labels[known] == PRESENT).mean()), 5)
    for name, chosen, model, seconds in fitted(cell, groups, done):
        settings = str(chosen.rule), chosen.head, float(f"{chosen.weight_decay:.4g}"), round(chosen.cost, 5)
        yield Row(*key, name, round(cell.map(model), 3), *settings, *shares, round(seconds, 1), *stamp())


def cross_entropy(logits: Float[torch.Tensor, "image class"], labels: Labels) -> float:
    """Mean cross-entropy of the known labels, as the logits are."""
    known = (labels != UNKNOWN).double()
    cost = binary_cross_entropy_with_logits(
        logits.double(), (labels == PRESENT).double(), known, reduction="sum"
    )
    return float(cost) / max(float(known.sum()), 1.0)


def table(rows: list[Row]) -> str:
    """Format the gate as Markdown: by collection, size and protocol, the distance of `auto` from the best other arm.

    The differences of a seed are to the arm that is best in that cell, and the mean over seeds is to the arm that is
    best on average over the same seeds; the former is optimistic for the others, as the best of many on a few hundred
    test images is partly luck.
    """
    maps: dict[tuple[str, int, str], dict[str, dict[int, float]]] = {}
    for row in rows:
        maps.setdefault((row.collection, row.images, row.protocol), {}).setdefault(row.arm, {})[row.seed] = (
            row.map
        )
    lines = [
        "| collection | images | labels | auto | ignored | absent | best other arm | mAP | less best | one seed |",
        "|---|---:|---|---:|---:|---:|---|---:|---:|---:|",
    ]
    gaps = []
    for (name, images, protocol), arms in maps.items():
        if "auto" not in arms:
            continue
        seeds = sorted(arms["auto"])
        means = {arm: np.mean([by[s] for s in seeds]) for arm, by in arms.items() if set(seeds) <= set(by)}
        auto = means.pop("auto")
        if not means:
            continue
        best = max(means, key=means.__getitem__)
        worst = min(
            arms["auto"][s] - max(by[s] for arm, by in arms.items() if arm != "auto" and s in by)
            for s in seeds
        )
        gaps.append((auto - means[best], worst, f"{name}, {images} images, {protocol}", best, len(seeds)))
        cells = [f"{means[arm]:.1f}" if arm in means else "–" for arm in REGRESSIONS]
        lines.append(
            f"| {name} | {images:,} | {protocol} | {auto:.1f} | {cells[0]} | {cells[1]} | {best} | {means[best]:.1f} | "
            f"{auto - means[best]:+.2f} | {worst:+.2f} |"
        )
    return "\n".join([*lines, "", *_summary(gaps)])


def _summary(gaps: list[tuple[float, float, str, str, int]]) -> list[str]:
    """Summarise the distribution of the differences, and the worst of them by name."""
    mean = np.array([gap[0] for gap in gaps])
    lines = [
        f"{len(gaps)} settings: {np.mean(mean >= -0.5):.0%} no more than 0.5 mAP behind the best other arm, "
        f"{np.mean(mean >= 0):.0%} ahead of it; median {np.median(mean):+.2f}, mean {mean.mean():+.2f}."
    ]
    for at, what in ((0, "mean over seeds"), (1, "one seed")):
        gap = min(gaps, key=lambda each: each[at])
        lines.append(
            f"Worst case, {what}: {gap[at]:+.2f} ({gap[2]}; best on average: {gap[3]}; {gap[4]} seeds)."
        )
    return lines


def main() -> None:
    """Compute the rows that are not there yet, or print their table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--collections", nargs="+", default=["ccp", "scenes", "coco18"])
    asked.add_argument(
        "--images", nargs="+", type=int, default=[200, 1000, 1_000_000], help="large: all there are"
    )
    asked.add_argument("--protocols", nargs="+", default=list(PROTOCOLS), choices=list(PROTOCOLS))
    asked.add_argument("--seeds", nargs="+", type=int, default=[3, 4, 5])
    asked.add_argument("--arms", nargs="+", default=list(GROUPS), choices=GROUPS)
    asked.add_argument("--again", action="store_true", help="search again where rows are of another commit")
    asked.add_argument("--cache", help="folder of the feature cache")
    asked.add_argument("--out", type=Path, default=Path("benchmarks/results/out-of-the-box.csv"))
    asked.add_argument("--table", type=Path, help="print the table of this file, and do nothing else")
    args = asked.parse_args()
    if args.table:
        print(table(read(args.table, Row)))
        return
    for name in args.collections:
        given = collection(name, args.cache)
        whole = sum(part == "train" for part in given.table.split or ())
        for images in sorted({min(size, whole) for size in args.images}):
            for seed, protocol in product(args.seeds, args.protocols):
                _cell(args, given, (name, images, protocol, seed))


def _cell(args: argparse.Namespace, given: Images, key: tuple[str, int, str, int]) -> None:
    rows = read(args.out, Row)
    done = {row.arm for row in rows if row.key[:4] == key}
    if args.again and any(row.arm == "auto" and row.commit != commit() for row in rows if row.key[:4] == key):
        done &= set(REGRESSIONS)
        rows = [row for row in rows if row.key[:4] != key or row.arm in REGRESSIONS]
    for row in run(given, key, args.arms, done):
        rows.append(row)
        write(args.out, rows)
        print(
            *row.key, row.map, row.method, row.head, f"{row.weight_decay:.3g}", f"{row.seconds} s", flush=True
        )


if __name__ == "__main__":
    main()
