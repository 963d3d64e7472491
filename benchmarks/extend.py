r"""Measure classes that are added to a trained tagger: test mAP of five classes of coco18, added and learned at once.

    PARTLABEL_DATA=... python benchmarks/extend.py --cache CACHE --out benchmarks/results/extend.csv
    python benchmarks/extend.py --table benchmarks/results/extend.csv

A tagger of 13 classes gets the other five (`HELD_BACK`, drawn once), from what each arm knows of them in the training
photos. The old classes take no part in that, so that their labels do not matter. Every arm chooses its weight decay by
its own cross-validation on the labels that it learns from, on the head `covariance`, and is scored once on the test
photos.

extended, 10 present    ten photos per class that show it, and nothing else
extended, 50 present    fifty, or all where there are fewer
extended, sample        the labels of these classes that the arms below know, present and absent
at once                 all 18 classes at a share of known labels, by the same rules for unknown labels
at once, soft_sst       the same with the method that `train` prefers for a sample of the labels
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from out_of_the_box import CHANNELS, Images, collection, training_set
from rows import options, read, stamp, training_rows, write

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.evaluation import metrics
from partlabel.nn.classes import Classes
from partlabel.nn.linear_path import Design
from partlabel.selection.candidates import Rule, TrainingSet
from partlabel.selection.cross_validation import folds, predict
from partlabel.selection.search import fold_count, search
from partlabel.training.extension import divided, rules_of_group

HELD_BACK = 5
HEAD = "covariance"
FEW = (10, 50)


@dataclass(frozen=True)
class Row:
    """One arm: `map` of the five classes on the test photos in percent, and their mean probability there."""

    images: int
    known: float
    seed: int
    arm: str
    map: float
    present_labels: int
    absent_labels: int
    probability: float
    prevalence: float
    method: str
    weight_decay: float
    seconds: float
    commit: str
    versions: str


def held_back(given: Images) -> list[int]:
    """Draw the classes that are added."""
    return sorted(np.random.RandomState(0).permutation(len(given.table.classes))[:HELD_BACK].tolist())


def compute(given: Images, images: int, known: float, seed: int) -> Iterator[Row]:
    """Compute the rows of a seed."""
    rows, new = training_rows(given.table, images, seed), held_back(given)
    whole = given.table[rows].with_split(None)
    hidden = whole.hide("uniform", known=known, seed=seed)
    maps, designs = given.features[torch.from_numpy(rows)], dict[str, Design]()
    arms = {f"extended, {count} present": only_present(whole.labels[:, new], count, seed) for count in FEW}
    arms["extended, sample"] = hidden.labels[:, new]
    for arm, labels in arms.items():
        yield extended(given, maps, designs, new, labels, (images, known, seed, arm))
    for arm, rules in (
        ("at once", rules_of_group(False, len(hidden.classes))),
        ("at once, soft_sst", (Rule("soft_sst"),)),
    ):
        began = time.monotonic()
        data = training_set(hidden, maps, fold_count(len(hidden)), seed)
        data.designs.update(designs)
        found = search(data, rules, (HEAD,))
        test, _ = given.test()
        logits = predict(found.model, test[..., None, None])[:, new]
        best = found.winner
        yield row(given, new, hidden.labels[:, new], logits, [str(best.rule)], [best.weight_decay], began,
                  (images, known, seed, arm))  # fmt: skip


def only_present(truth: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Keep some present labels of each class, and no other label."""
    random, labels = np.random.RandomState(seed), np.full_like(truth, UNKNOWN)
    for at in range(truth.shape[1]):
        shown = random.permutation(np.flatnonzero(truth[:, at] == PRESENT))
        labels[shown[:count], at] = PRESENT
    return labels


def extended(
    given: Images,
    maps: torch.Tensor,
    designs: dict[str, Design],
    new: list[int],
    labels: np.ndarray,
    cell: tuple[int, float, int, str],
) -> Row:
    """Fit the new classes as `partlabel extend` does."""
    began, names = time.monotonic(), [given.table.classes[at] for at in new]
    test, _ = given.test()
    logits, methods, decays = torch.zeros(len(test), len(new)), [], []
    for group, assumed in divided(names, labels):
        at = [names.index(name) for name in group]
        known = torch.from_numpy(labels[:, at].copy())
        fold = folds(known, fold_count(len(known)), cell[2])
        data = TrainingSet(maps, CHANNELS, known, Classes(group), fold, designs=designs)
        found = search(data, rules_of_group(assumed, len(given.table.classes)), (HEAD,))
        logits[:, at] = predict(found.model, test[..., None, None])
        methods.append(str(found.winner.rule))
        decays.append(found.winner.weight_decay)
    return row(given, new, labels, logits, methods, decays, began, cell)


def row(
    given: Images,
    new: list[int],
    labels: np.ndarray,
    logits: torch.Tensor,
    methods: list[str],
    decays: list[float],
    began: float,
    cell: tuple[int, float, int, str],
) -> Row:
    """Score an arm on the test photos."""
    truth = given.test()[1][:, new]
    names = tuple(given.table.classes[at] for at in new)
    found = 100 * metrics.evaluate(logits.numpy(), truth, names).map
    counts = (int((labels == PRESENT).sum()), int(((labels != PRESENT) & (labels != UNKNOWN)).sum()))
    mean, share = float(logits.sigmoid().mean()), float((truth == PRESENT).mean())
    took = round(time.monotonic() - began, 1)
    return Row(
        *cell, round(found, 3), *counts, round(mean, 4), round(share, 4), "; ".join(methods),
        float(f"{decays[0]:.4g}"), took, *stamp(),
    )  # fmt: skip


def table_of(rows: list[Row]) -> str:
    """Format means over seeds and half the range as Markdown."""
    lines = [
        "| arm | present labels | absent labels | test mAP | mean probability | share present | seconds | seeds |",
        "|---" * 8 + "|",
    ]
    for arm in dict.fromkeys(row.arm for row in rows):
        same = [row for row in rows if row.arm == arm]
        score = [row.map for row in same]
        counts = " | ".join(
            f"{np.mean([getattr(row, name) for row in same]):,.0f}"
            for name in ("present_labels", "absent_labels")
        )
        mean, share, took = (
            np.mean([getattr(row, name) for row in same]) for name in ("probability", "prevalence", "seconds")
        )
        lines.append(
            f"| {arm} | {counts} | {np.mean(score):.1f} ± {np.ptp(score) / 2:.1f} | {mean:.3f} | {share:.3f} | "
            f"{took:.0f} | {len(same)} |"
        )
    return "\n".join(["Mean over seeds ± half the range.\n", *lines])


def main() -> None:
    """Compute the rows that are not there yet, or print their table."""
    args = options(__doc__, "extend.csv", 3_000).parse_args()
    if args.table:
        print(table_of(read(args.table, Row)))
        return
    given = collection("coco18", args.cache)
    rows = read(args.out, Row)
    for seed in args.seeds:
        if any((row.images, row.known, row.seed) == (args.images, args.known, seed) for row in rows):
            continue
        for found in compute(given, args.images, args.known, seed):
            rows.append(found)
            print(found, flush=True)
        write(args.out, rows)
    print(table_of(rows))


if __name__ == "__main__":
    main()
