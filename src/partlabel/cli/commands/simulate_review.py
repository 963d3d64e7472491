"""Command `simulate-review`: compare orders of questions by the decisions that they need."""

from pathlib import Path
from typing import Literal

from partlabel.cli.commands._command import command
from partlabel.cli.commands._reading import TableOptions, TextOptions
from partlabel.cli.commands._saying import say_texts
from partlabel.cli.parser import UsageError


@command("Judge")
def simulate_review(
    data: TableOptions,
    known: float = 0.1,
    batch: int = 1000,
    rounds: int = 10,
    seeds: int = 2,
    head: Literal["average", "covariance"] = "covariance",
    weight_decay: float = 0.01,
    cache_dir: Path | None = None,
    out: Path = Path("review.csv"),
    curve: Path | None = None,
    orders: list[str] | None = None,
    *,
    beside: TextOptions,
) -> None:
    """Measure how many decisions each order of questions needs, on a table without unknown training labels.

    Args:
        data: Label table.
        table: Label table with the parts train and test; all labels of train must be known.
        known: Share of the training labels that is known at the start, in [0, 1]; from 0, the first round is random.
        batch: Questions per round; the head is fitted again after each round.
        rounds: Number of rounds.
        seeds: Number of repetitions with different random seeds.
        head: Linear head on the frozen backbone.
        weight_decay: Weight decay of the head with all labels known; before, it is divided by the square root of the
            share of known labels (0.032 at a tenth by default).
        cache_dir: Folder of the feature cache.
        out: Measurements to write, .csv.
        curve: Plot of the measurements to write, .png or .svg.
        orders: Orders to compare; all of them by default.
        beside: Texts of the photos.
    """
    if data.images is None:
        raise UsageError(
            "missing: --images, the image folder (all options: partlabel simulate-review --help)"
        )
    from partlabel.review import orders as registry
    from partlabel.review import simulation, simulation_summary
    from partlabel.training.config import TrainingConfig

    names = ["random", *(name for name in orders or registry.names() if name != "random")]
    for name in names:
        registry.get(name)
    config = TrainingConfig(weight_decay=weight_decay)
    table = data.read(texts=beside.texts)
    say_texts(table)
    given = simulation.prepare(table, head, cache_dir)
    points = simulation.simulate(given, names, seeds, known, [batch] * rounds, head, config)
    simulation.save_points(points, out)
    if curve is not None:
        simulation_summary.plot(points, curve)
    decisions, maps = simulation_summary.curves(points)["random"]
    print(
        f"mAP on test: {maps[0]:.1%} before, {maps[-1]:.1%} after {decisions[-1]:,} decisions in random order;"
    )
    for order, needed in simulation_summary.needed(points, decisions[-1]).items():
        reached = "does not reach it" if needed is None else f"{needed:,.0f} decisions for the same mAP"
        print(f"  {order:<10} {reached}")
    full = {seed: simulation.full_map(given, seed, head, config) for seed in range(seeds)}
    print("\n".join(simulation_summary.lines(points, full, given.truth.size)))
    print(f"measurements in {out}")
