"""What to ask? Orders of questions, from nothing known, from 2 % and from 10 %: rows for docs/results.md.

    python benchmarks/review.py --data coco18 --images 3000 --out benchmarks/results/review-orders.csv
    python benchmarks/review.py --table benchmarks/results/review-orders.csv
    python benchmarks/review.py --effort benchmarks/results/review-orders.csv
    python benchmarks/review.py --curve benchmarks/results/review-orders.csv --starts 0 --out docs/img/review-orders.png

Every order asks until the cells of the last share of `--budget`, or until the mAP is 99 % of that with all labels
known. After each step, a linear head on the frozen backbone's pooled features is fitted again and scored on the test
part. `--weight-decay` is that with all labels known; before, it is divided by the square root of the share of known
labels, which makes it about the one that `benchmarks/transfer.py` chose for this head at a tenth of them. Finished rows
are kept: a killed run continues.
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
from partlabel.review import effort, orders, simulated_models, simulation, simulation_summary
from partlabel.review.simulation import Given, Point
from partlabel.training.config import TrainingConfig

BUDGET = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.17, 0.25)
"""Shares of all cells of the training part, after which the head is trained again."""

LIMIT = 0.12
"""Share of all cells until which the effort is counted."""

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
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--cache", help="folder of the feature cache")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/review-orders.csv"))
    parser.add_argument("--table", type=Path, help="rows to print as a table of cells")
    parser.add_argument("--effort", type=Path, help="rows to print as a table of keys and time")
    parser.add_argument("--curve", type=Path, help="rows to draw: one collection, number of photos and start")
    args = parser.parse_args()
    if args.curve:
        simulation_summary.plot(_curve(rows.read(args.curve, Row), args), args.out)
        return
    for path, formatted in ((args.table, table), (args.effort, effort_table)):
        if path:
            print("\n".join(formatted(rows.read(path, Row))))
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
    for said, own, seeds in _by_order(done):
        (reached,) = simulation_summary.cells_to_reach([row.point() for row in own], seeds).values()
        shown = (_share(simulation_summary.mean_or_none(each), own[0].cells) for each in reached)
        parts = (f"{100 * _part_of_full(own, share):.1f}" for share in SHARES)
        lines.append(f"{said} | {' | '.join((*shown, *parts))} |")
    return lines


def effort_table(done: list[Row]) -> list[str]:
    """Format keys and time by pages until 12 % of the cells, and the keys for 90 and 95 % of the full mAP."""
    lines = [
        "| collection | photos | known | order | seeds | wrong expected answers | keys per answer | answers a minute | "
        "keys for 90%, one at a time | by pages | for 95%, one at a time | by pages |",
        "|---|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for said, own, seeds in _by_order(done):
        points = [row.point() for row in own]
        ends = [
            max(
                (p for p in points if p.seed == seed and p.decisions <= LIMIT * own[0].cells),
                key=lambda p: p.decisions,
            )
            for seed in seeds
        ]
        decisions, pages, corrected = (
            sum(getattr(p, name) for p in ends) for name in ("decisions", "pages", "corrected")
        )
        spent = effort.by_pages(float(decisions), pages, corrected)
        shown = [
            f"{corrected / decisions:.0%}",
            f"{spent.keys / decisions:.2f}",
            f"{60 * decisions / spent.seconds:.0f}",
        ]
        for goal in simulation_summary.GOALS[:2]:
            for cost in (simulation_summary.cells_asked, simulation_summary.keys_by_pages):
                ((each,),) = simulation_summary.cells_to_reach(points, seeds, [goal], cost).values()
                mean = simulation_summary.mean_or_none(each)
                shown.append("–" if mean is None else f"{mean:,.0f}")
        lines.append(f"{said} | {' | '.join(shown)} |")
    return lines


def _curve(done: list[Row], args: argparse.Namespace) -> list[Point]:
    """Return the points of one start that all seeds have; a seed that reached 99 % has no later ones."""
    kind = (args.data, args.images, args.starts[0])
    same = [
        row.point() for row in done if (row.data, row.images, row.start) == kind and row.order in args.orders
    ]
    return [
        point
        for point in same
        if all(
            any((p.order, p.seed, p.decisions) == (point.order, seed, point.decisions) for p in same)
            for seed in {p.seed for p in same if p.order == point.order}
        )
    ]


def _by_order(done: list[Row]) -> Iterator[tuple[str, list[Row], dict[int, float]]]:
    """Yield the first cells of a line, and the rows and the full mAP by seed, of every order."""
    for kind in dict.fromkeys((row.data, row.images, row.start, row.order) for row in done):
        own = [row for row in done if (row.data, row.images, row.start, row.order) == kind]
        data, images, start, order = kind
        seeds = {row.seed: row.full for row in own}
        yield f"| {data} | {images:,} | {start:.0%} | `{order}` | {len(seeds)}", own, seeds


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
