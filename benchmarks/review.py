"""Which order of questions helps most? `partlabel simulate-review` on coco18, with its curve for docs/review.md.

    python benchmarks/review.py --out benchmarks/results/review.csv --png docs/img/review-orders.png

From a tenth of the labels, `--rounds` times `--batch` questions in each order, a linear head on the frozen backbone's
pooled features trained again after each. The weight decay is the one that `benchmarks/transfer.py` chose for this head
at a tenth of the labels, for all rounds and orders.
"""

import argparse
import os
import time
from pathlib import Path

from partlabel import LabelTable
from partlabel.review import simulation
from partlabel.training.config import TrainingConfig


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="coco18")
    parser.add_argument("--known", type=float, default=0.1)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--head", default="covariance")
    parser.add_argument("--decay", type=float, default=0.03)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--cache", help="folder of the feature cache")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/review.csv"))
    parser.add_argument("--png", type=Path)
    args = parser.parse_args()
    root = Path(os.environ["PARTLABEL_DATA"]) / args.data
    table = LabelTable.read(root / "labels.csv", images=root)
    given = simulation.prepare(table, args.head, args.cache)
    config = TrainingConfig(epochs=args.epochs, batch_size=128, weight_decay=args.decay)
    began = time.process_time()
    points = simulation.simulate(
        given, simulation.ORDERS, args.seeds, args.known, args.batch, args.rounds, args.head, config
    )
    print(f"{time.process_time() - began:.0f} seconds of the processor")
    simulation.save_points(points, args.out)
    if args.png:
        simulation.plot(points, args.png)
    for order, (decisions, maps) in simulation.curves(points).items():
        print(order, *(f"{at}: {value:.4f}" for at, value in zip(decisions, maps, strict=True)))
    for share in (0.25, 0.5, 0.75, 1.0):
        at = round(share * args.batch * args.rounds)
        print(f"as random after {at}:", simulation.needed(points, at))


if __name__ == "__main__":
    main()
