r"""Compare criteria that choose between settings: how much test mAP does each give away?

    PARTLABEL_DATA=... python benchmarks/criteria.py --out benchmarks/results/criteria.csv
    python benchmarks/criteria.py --table benchmarks/results/criteria.csv

In every cell (`out_of_the_box.py`) all rules with fixed targets are fitted on two heads over a path of weight decays.
Every criterion scores the same out-of-fold logits of the training images, on the known labels alone, and chooses one of
these candidates. Its regret is the test mAP of the best candidate minus that of the chosen one. No criterion sees the
test images; the regret of a perfect criterion is 0.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import out_of_the_box
import polars as pl
import torch
from jaxtyping import Float
from out_of_the_box import Cell, collection, cross_entropy
from rows import stamp

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels, Targets
from partlabel.evaluation.metrics import evaluate
from partlabel.nn.cross_fitting import fold_weights, out_of_fold, target_count
from partlabel.nn.linear_path import Design, solve
from partlabel.selection import criteria
from partlabel.selection.candidates import FIXED, Rule, TrainingSet, build

HEADS = ("rooted_average", "covariance")
DECAYS = tuple(float(10**power) for power in np.arange(1, -3.1, -0.5))
"""Weight decays, in the unit of `TrainingConfig.weight_decay`, strong to weak."""
FOLDS = 3
PROTOCOLS = {
    **out_of_the_box.PROTOCOLS,
    "half of the positives": ("editor", {"known_present": 0.5, "known_absent": 0.0}),
    "whole images": ("whole_images", {"known": 0.1}),
}


def taken_for_absent(labels: Labels) -> Labels:
    """Replace unknown labels by absent ones."""
    return (labels == PRESENT).to(labels.dtype)


def less_map(logits: Float[torch.Tensor, "image class"], labels: Labels) -> float:
    """Minus the mean average precision on the known labels."""
    used = (labels == PRESENT).any(0)
    return -float(criteria.average_precisions(logits, labels == PRESENT, labels != UNKNOWN)[used].mean())


def relative_cross_entropy(logits: Float[torch.Tensor, "image class"], labels: Labels) -> float:
    """Mean of `relative_costs` over the classes of which something is known to be present."""
    used = (labels == PRESENT).any(0)
    if not used.any():
        return float(criteria.calibrated_costs(logits, labels).sum())
    return float(criteria.relative_costs(logits, labels)[used].mean())


CRITERIA: dict[str, Callable[[Float[torch.Tensor, "image class"], Labels], float]] = {
    "cross-entropy": cross_entropy,
    "calibrated": criteria.calibrated_cross_entropy,
    "calibrated, unknown as absent": lambda z, y: criteria.calibrated_cross_entropy(z, taken_for_absent(y)),
    "mAP": less_map,
    "mAP, unknown as absent": lambda z, y: less_map(z, taken_for_absent(y)),
    "relative": relative_cross_entropy,
    "unexplained": criteria.unexplained,
}


def path(
    design: Design, targets: Targets, penalties: Sequence[Float[torch.Tensor, " column"]], tolerance: float
) -> Iterator[Float[torch.Tensor, "coordinate column"]]:
    """Fit all columns at each penalty, from strong to weak, each from the solution of the one before."""
    fitted = None
    for penalty in penalties:
        fitted = solve(design, targets, penalty, fitted, tolerance)
        yield fitted


def candidates(cell: Cell, data: TrainingSet, rule: Rule, head: str) -> list[tuple[torch.Tensor, float]]:
    """Out-of-fold logits and test mAP of a rule on a head at each weight decay."""
    design = data.design(head, {})
    targets = build(data, rule, head, {}).fixed_targets(data.labels)
    assert targets is not None
    columns, count = fold_weights(targets, data.fold, FOLDS)
    whole = target_count(targets).expand(data.labels.shape[1])
    maps = cell.test if head == "covariance" else cell.test[:, : data.channels]
    method = build(data, rule, head, {})
    with torch.no_grad():
        pooled = method.head.pooled(maps[..., None, None])
    found = []
    folds = path(design, columns, [decay * count for decay in DECAYS], tolerance=1e-5)
    fits = path(design, targets, [decay * whole for decay in DECAYS], tolerance=1e-5)
    for by_fold, fitted in zip(folds, fits, strict=True):
        weight, bias = design.weights(fitted)
        logits = (pooled - design.mean) * torch.rsqrt(design.variance + 1e-5) @ weight.T + bias
        score = 100 * evaluate(logits.numpy(), cell.truth, cell.table.classes).map
        found.append((out_of_fold(design, by_fold, data.fold, FOLDS), score))
    return found


def regrets(cell: Cell) -> dict[str, float]:
    """Compute the regret of each criterion in a cell, and the test mAP of the best candidate."""
    data = cell.training_set(FOLDS)
    found = [each for rule, head in product(FIXED, HEADS) for each in candidates(cell, data, rule, head)]
    maps = np.array([score for _, score in found])
    chosen = {
        name: np.argmin([of(logits, data.labels) for logits, _ in found]) for name, of in CRITERIA.items()
    }
    return {"best": maps.max()} | {name: maps.max() - maps[row] for name, row in chosen.items()}


def table(rows: pl.DataFrame) -> str:
    """Mean and largest regret of each criterion by protocol, as Markdown."""
    lines = ["| labels | " + " | ".join(CRITERIA) + " |", "|---" * (len(CRITERIA) + 1) + "|"]
    groups = [
        (protocol, rows.filter(pl.col("protocol") == protocol)) for protocol in rows["protocol"].unique()
    ]
    for name, part in [*sorted(groups, key=lambda each: each[0]), (f"all {len(rows)} cells", rows)]:
        lines.append(
            f"| {name} | "
            + " | ".join(f"{part[c].mean():.1f} / {part[c].max():.1f}" for c in CRITERIA)
            + " |"
        )
    return "\n".join(lines)


def main() -> None:
    """Compute the cells that are not there yet, or print their table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--collections", nargs="+", default=["ccp", "scenes", "coco18"])
    asked.add_argument("--images", nargs="+", type=int, default=[200, 1000])
    asked.add_argument("--seeds", nargs="+", type=int, default=[3])
    asked.add_argument("--cache", help="folder of the feature cache")
    asked.add_argument("--out", type=Path, default=Path("benchmarks/results/criteria.csv"))
    asked.add_argument("--table", type=Path, help="print the table of this file, and do nothing else")
    args = asked.parse_args()
    if args.table:
        print(table(pl.read_csv(args.table)))
        return
    rows = pl.read_csv(args.out).to_dicts() if args.out.exists() else []
    for name in args.collections:
        given = collection(name, args.cache)
        for images, seed, protocol in product(args.images, args.seeds, PROTOCOLS):
            key = {"collection": name, "images": images, "seed": seed, "protocol": protocol}
            if any(key.items() <= row.items() for row in rows):
                continue
            found = {
                what: round(float(much), 3)
                for what, much in regrets(Cell(given, images, PROTOCOLS[protocol], seed)).items()
            }
            rows.append(key | found | {"commit": stamp()[0], "versions": stamp()[1]})
            aside = args.out.with_suffix(".part")
            pl.DataFrame(rows).write_csv(aside)
            aside.replace(args.out)
            print(*key.values(), found, flush=True)


if __name__ == "__main__":
    main()
