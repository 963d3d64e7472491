"""What to ask? Orders of questions, from nothing known, from 2 % and from 10 %: rows for docs/results.md.

    python benchmarks/review.py --data coco18 --images 3000 --out benchmarks/results/review-orders.csv
    python benchmarks/review.py --table benchmarks/results/review-orders.csv

Every order asks until the cells of the last share of `--budget`, or until the mAP is 99 % of that with all labels
known. After each step, a linear head on the frozen backbone's pooled features is fitted again and scored on the test
part. `--weight-decay` is the one that `benchmarks/transfer.py` chose for this head at a tenth of the labels, for all
steps and orders. Finished rows are kept: a killed run continues.
"""

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rows

from partlabel import LabelTable
from partlabel.review import orders, simulated_models, simulation, simulation_summary
from partlabel.review.simulation import Given, Point
from partlabel.training.config import TrainingConfig

BUDGET = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.17, 0.25)
"""Shares of all cells of the training part, after which the head is trained again."""

SHARES = (0.05, 0.12, 0.18)
"""Shares of all cells at which the table says which part of the full mAP is reached."""


@dataclass
class Row:
    """A point of a simulated review, and the mAP with all labels known."""

    data: str
    images: int
    cells: int
    start: float
    seed: int
    order: str
    round: int
    decisions: int
    known: float
    present: int
    corrected: int
    pages: int
    map: float
    full: float
    seconds: float
    commit: str
    versions: str

    def point(self) -> Point:
        """Return the point alone."""
        return Point(**{name: getattr(self, name) for name in Point._fields})


def main() -> None:
    """Run the simulations that are not finished yet, or print the table of those that are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="coco18")
    parser.add_argument("--images", type=int, default=3000, help="training photos, a sample of each seed")
    parser.add_argument("--starts", type=float, nargs="+", default=[0.0, 0.02, 0.1])
    parser.add_argument("--orders", nargs="+", default=orders.names())
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--budget", type=float, nargs="+", default=BUDGET)
    parser.add_argument("--head", default="covariance")
    parser.add_argument("--weight-decay", type=float, default=0.03)
    parser.add_argument("--cache", help="folder of the feature cache")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/review-orders.csv"))
    parser.add_argument("--table", type=Path, help="rows to print as a table")
    args = parser.parse_args()
    if args.table:
        print("\n".join(table(rows.read(args.table, Row))))
        return
    done = rows.read(args.out, Row)
    for row in measured(args, {(r.data, r.images, r.start, r.seed, r.order) for r in done}):
        done += row
        rows.write(args.out, done)


def measured(args: argparse.Namespace, done: set) -> Iterator[list[Row]]:
    """Simulate what is not done; the first seed of all starts and orders comes first."""
    root = Path(os.environ["PARTLABEL_DATA"]) / args.data
    labels = LabelTable.read(root / "labels.csv", images=root)
    whole = simulation.prepare(labels, args.head, args.cache)
    config = TrainingConfig(weight_decay=args.weight_decay)
    for seed in args.seeds:
        given = sample(whole, args.images, seed, args.head)
        full = simulation.full_map(given, seed, args.head, config)
        steps = np.diff([0, *(round(share * given.truth.size) for share in args.budget)]).tolist()
        for start in args.starts:
            for order in args.orders:
                key = (args.data, len(given.truth), start, seed, order)
                if key in done:
                    continue
                began = time.process_time()
                points = [
                    *simulation.simulate_orders(
                        given, order, seed, start, steps, args.head, config, 0.99 * full
                    )
                ]
                seconds = round(time.process_time() - began, 1)
                print(*key, f"{full:.4f}", *(f"{p.decisions}: {p.map:.4f}" for p in points), flush=True)
                yield [made(args.data, given, start, point, full, seconds) for point in points]


def made(data: str, given: Given, start: float, point: Point, full: float, seconds: float) -> Row:
    """Return the row of a point."""
    shares = {"known": round(point.known, 5), "map": round(point.map, 5), "full": round(full, 5)}
    own = point._asdict() | shares
    commit, versions = rows.stamp()
    size = (len(given.truth), given.truth.size)
    return Row(data, *size, start, seconds=seconds, commit=commit, versions=versions, **own)


def sample(given: Given, images: int, seed: int, head: str) -> Given:
    """Return a sample of the training photos, all of them where there are not more."""
    if images >= len(given.truth):
        return given
    kept = np.sort(np.random.RandomState(seed).permutation(len(given.truth))[:images])
    design = simulated_models.design_of(given.train[kept], given.classes, head)
    return given._replace(train=given.train[kept], truth=given.truth[kept], design=design, text=None)


def table(done: list[Row]) -> list[str]:
    """Format the cells asked for shares of the full mAP, and shares after some cells: means of seeds, in percent."""
    goals = simulation_summary.GOALS
    lines = [
        f"| collection | photos | known | order | seeds | {' | '.join(f'cells for {goal:.0%}' for goal in goals)} | "
        f"{' | '.join(f'after {share:.0%}' for share in SHARES)} |",
        "|---|---:|---:|---|---:|" + "---:|" * (len(goals) + len(SHARES)),
    ]
    for kind in dict.fromkeys((row.data, row.images, row.start) for row in done):
        same = [row for row in done if (row.data, row.images, row.start) == kind]
        data, images, start = kind
        full = {row.seed: row.full for row in same}
        for order in dict.fromkeys(row.order for row in same):
            own = [row for row in same if row.order == order]
            seeds = {row.seed: full[row.seed] for row in own}
            reached = simulation_summary.cells_to_reach([row.point() for row in own], seeds)[order]
            shown = (_share(simulation_summary.mean_or_none(each), own[0].cells) for each in reached)
            parts = (f"{100 * _part_of_full(own, share):.1f}" for share in SHARES)
            lines.append(
                f"| {data} | {images:,} | {start:.0%} | `{order}` | {len(seeds)} | {' | '.join((*shown, *parts))} |"
            )
    return lines


def _part_of_full(own: list[Row], share: float) -> float:
    """Return the mean part of the full table's mAP after a share of all cells, interpolated between steps."""
    parts = []
    for seed in {row.seed for row in own}:
        same = [row for row in own if row.seed == seed]
        reached = np.interp(share * same[0].cells, [row.decisions for row in same], [row.map for row in same])
        parts.append(reached / same[0].full)
    return float(np.mean(parts))


def _share(cells: float | None, of: int) -> str:
    return "–" if cells is None else f"{100 * cells / of:.1f}"


if __name__ == "__main__":
    main()
