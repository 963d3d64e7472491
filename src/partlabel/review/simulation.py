"""Simulated review: measure how many decisions each order of questions needs to reach a mAP.

On a table whose labels are all known, most are hidden. In every round, a head on frozen features is trained on the
known labels, and on the texts beside the photos if there are some, and scored on the test part
(`simulated_models.py`); the order then selects the next unknown labels, and the ground truth answers. Unlike a person,
the simulation makes no mistakes, and all answers cost the same.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from jaxtyping import Int8

from partlabel.core.files import atomic_write
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.progress_bar import track
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.text_features import text_features
from partlabel.evaluation import metrics
from partlabel.nn import heads
from partlabel.review import ordering
from partlabel.review.ordering import Order
from partlabel.review.simulated_models import Beside, SimulationFeatures, round_predictions
from partlabel.training.config import TrainingConfig
from partlabel.training.frozen_backbone import frozen_backbone, plain_view

SIZE = 224
ORDERS: tuple[Order, ...] = ("random", "uncertain", "surest", "class")


class Point(NamedTuple):
    """Result of an order after a round.

    Attributes:
        seed: Random seed of hiding, training and the random order.
        order: Order of questions.
        round: Number of rounds so far.
        decisions: Number of labels revealed so far.
        known: Share of the training labels that is known, in [0, 1].
        present: Number of labels revealed so far that are present.
        map: mAP on the test part, in [0, 1].
    """

    seed: int
    order: str
    round: int
    decisions: int
    known: float
    present: int
    map: float


class Given(NamedTuple):
    """Input that all orders share: features and ground truth of both parts, and the texts of the training images."""

    classes: tuple[str, ...]
    train: SimulationFeatures
    truth: Int8[np.ndarray, "image class"]
    test: SimulationFeatures
    test_labels: Int8[np.ndarray, "test class"]
    beside: Beside | None = None


def prepare(table: LabelTable, head: str = "covariance", cache_dir: str | Path | None = None) -> Given:
    """Compute the features of both parts of a table, and of the texts of the part `train`.

    Args:
        table: Label table with an image folder and the parts `train` and `test`; no label of `train` may be unknown.
        head: Head to train; one that takes pooled features, such as `average` or `covariance`.
        cache_dir: Folder of the feature cache.

    Raises:
        ValueError: A part is missing, or there are unknown labels in `train`.
    """
    train, test = table.part("train"), table.part("test")
    if train.unknown:
        raise ValueError(
            f"{train.unknown:,} labels of the part train are unknown: the simulation reveals the ground truth, so give "
            "a table in which all labels of train are known"
        )
    rank = heads.get(head).covariance_rank
    backbone = frozen_backbone(train, rank, size=SIZE, pool=1 if rank else SIZE // 32, cache_dir=cache_dir)
    both = []
    for part in (train, test):
        (view,) = plain_view(backbone, part, SIZE, cache_dir)
        both.append(torch.from_numpy(view.take(np.arange(len(part)))).float())
    beside = None
    if train.texts is not None:
        text = text_features(train.texts, table.classes, cache_dir=cache_dir)
        beside = Beside.of(text, both[0], table.classes, head)
    return Given(table.classes, both[0], train.labels, both[1], test.labels, beside)


def simulate_orders(
    given: Given,
    order: Order,
    seed: int,
    known: float,
    batch: int,
    rounds: int,
    head: str,
    config: TrainingConfig,
) -> Iterator[Point]:
    """Run the rounds of one order; the first point is before any question.

    Args:
        given: Features and ground truth.
        order: Order of questions.
        seed: Random seed of hiding, training and the random order.
        known: Share of the training labels that is known at the start.
        batch: Questions per round.
        rounds: Number of rounds.
        head: Head to train.
        config: Training configuration.
    """
    everything = LabelTable(tuple(map(str, range(len(given.truth)))), given.classes, np.array(given.truth))
    labels = everything.hide("uniform", known=known, seed=seed).labels.copy()
    decisions = present = 0
    for number in range(rounds + 1):
        own = config.with_options(seed=seed)
        found = round_predictions(given.train, labels, given.beside, given.test, given.classes, head, own)
        test = metrics.evaluate(found.test, given.test_labels, given.classes)
        share = float((labels != UNKNOWN).mean())
        yield Point(seed, order, number, decisions, share, present, test.map)
        blank = labels == UNKNOWN
        key = ordering.key(order, found.probability, blank, seed=1000 * seed + number)
        places = ordering.in_order(key, blank)[:batch]
        labels.ravel()[places] = given.truth.ravel()[places]
        decisions += len(places)
        present += int((given.truth.ravel()[places] == PRESENT).sum())


def simulate(
    given: Given,
    orders: Sequence[Order],
    seeds: int,
    known: float,
    batch: int,
    rounds: int,
    head: str,
    config: TrainingConfig,
) -> list[Point]:
    """Run all orders with all seeds; arguments as for `run`."""
    wanted = [(order, seed) for seed in range(seeds) for order in orders]
    return [
        point
        for order, seed in track(wanted, "Simulating reviews")
        for point in simulate_orders(given, order, seed, known, batch, rounds, head, config)
    ]


def save_points(points: Sequence[Point], path: Path) -> Path:
    """Write points as CSV."""
    with atomic_write(path) as aside:
        pl.DataFrame(points, schema=list(Point._fields), orient="row").with_columns(
            pl.col("known", "map").round(5)
        ).write_csv(aside)
    return path


def curves(points: Sequence[Point]) -> dict[str, tuple[list[int], list[float]]]:
    """Return, by order, the numbers of decisions and the mean mAP over the seeds."""
    by_order: dict[str, tuple[list[int], list[float]]] = {}
    for order in dict.fromkeys(point.order for point in points):
        at: dict[int, list[float]] = {}
        for point in points:
            if point.order == order:
                at.setdefault(point.decisions, []).append(point.map)
        by_order[order] = sorted(at), [float(np.mean(at[decisions])) for decisions in sorted(at)]
    return by_order


def needed(points: Sequence[Point], decisions: int, against: str = "random") -> dict[str, float | None]:
    """Compute the decisions that each order needs to reach the mAP of a reference order; None if it does not reach it.

    The mean curve is interpolated linearly between rounds.

    Args:
        points: Points of several orders.
        decisions: Number of decisions of the reference order.
        against: Reference order.

    Raises:
        ValueError: The reference order was not simulated.
    """
    by_order = curves(points)
    if against not in by_order:
        raise ValueError(f"there are no points of the order {against!r} to compare the others with")
    goal = float(np.interp(decisions, *by_order[against]))
    return {order: _reached(*curve, goal) for order, curve in by_order.items()}


def _reached(decisions: Sequence[int], maps: Sequence[float], goal: float) -> float | None:
    """Return the number of decisions at which a curve first reaches a value."""
    if maps[0] >= goal:
        return float(decisions[0])
    for number in range(1, len(maps)):
        if maps[number] >= goal:
            low, high = maps[number - 1], maps[number]
            part = (goal - low) / (high - low)
            return decisions[number - 1] + part * (decisions[number] - decisions[number - 1])
    return None


def plot(points: Sequence[Point], path: Path) -> Path:
    """Draw the curves as `.png` or `.svg`, with the range over seeds around each mean."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for number, (order, (decisions, maps)) in enumerate(curves(points).items()):
        low, high = (
            [kind(p.map for p in points if (p.order, p.decisions) == (order, at)) for at in decisions]
            for kind in (min, max)
        )
        axes.plot(decisions, maps, "o-", ms=4, lw=1.8, color=f"C{number}", label=order)
        axes.fill_between(decisions, low, high, color=f"C{number}", alpha=0.13, lw=0)
    axes.set_xlabel("decisions")
    axes.set_ylabel("mAP on test")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3, lw=0.6)
    axes.legend(frameon=False)
    with atomic_write(path) as aside:
        figure.savefig(aside, dpi=130)
    return path
