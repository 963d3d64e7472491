"""Simulated review: measure how many decisions each order of questions needs to reach a mAP.

On a table whose labels are all known, most are hidden. In every round, a head on frozen features is fitted to the
known labels, and to the texts beside the photos if there are some, and scored on the test part
(`simulated_models.py`); the order then selects the next unknown labels, and the ground truth answers. Unlike a person,
the simulation makes no mistakes, and all answers cost the same.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from jaxtyping import Bool, Float, Int8, Int64

from partlabel.core.files import atomic_write
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.progress_bar import track
from partlabel.core.types import TextFeatures
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.text_features import text_features
from partlabel.evaluation import metrics
from partlabel.nn import heads
from partlabel.nn.linear_path import Design
from partlabel.review import ordering, orders
from partlabel.review.orders import Knowledge
from partlabel.review.simulated_models import (
    RoundPredictions,
    SimulationFeatures,
    design_of,
    round_predictions,
)
from partlabel.training.config import TrainingConfig
from partlabel.training.frozen_backbone import frozen_backbone, plain_view

SIZE = 224
PAGE = 24
"""Number of photos on a page, for the number of pages that the answers would take."""


class Point(NamedTuple):
    """Result of an order after a round.

    Attributes:
        seed: Random seed of hiding, training and the random order.
        order: Name of the order of questions.
        round: Number of rounds so far.
        decisions: Number of labels revealed so far.
        known: Share of the training labels that is known, in [0, 1].
        present: Number of labels revealed so far that are present.
        map: mAP on the test part, in [0, 1].
        corrected: Number of labels revealed so far that the model expected otherwise.
        pages: Number of pages of one class that they fill.
    """

    seed: int
    order: str
    round: int
    decisions: int
    known: float
    present: int
    map: float
    corrected: int = 0
    pages: int = 0


class Round(NamedTuple):
    """What is known after a round of an order.

    Attributes:
        point: Result.
        labels: Known labels of the training part.
        drawn: Whether each of them was asked because it was drawn at random.
    """

    point: Point
    labels: Int8[np.ndarray, "image class"]
    drawn: Bool[np.ndarray, "image class"]


class Given(NamedTuple):
    """Input that all orders share: features and ground truth of both parts, and the texts of the training images.

    Attributes:
        classes: Class names.
        train: Features of the training images.
        truth: Their labels.
        test: Features of the test images.
        test_labels: Their labels.
        design: Features of the training images, rotated for the solver.
        text: Features of their texts; None without texts.
    """

    classes: tuple[str, ...]
    train: SimulationFeatures
    truth: Int8[np.ndarray, "image class"]
    test: SimulationFeatures
    test_labels: Int8[np.ndarray, "test class"]
    design: Design
    text: TextFeatures | None = None

    def unit(self) -> Float[np.ndarray, "image feature"]:
        """Return the features of the training part, of unit length."""
        flat = self.train.flatten(1)
        return torch.nn.functional.normalize(flat).numpy()


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
    text = None
    if train.texts is not None:
        text = text_features(train.texts, table.classes, cache_dir=cache_dir)
        text = text if text.available.any() else None
    design = design_of(both[0], table.classes, head)
    return Given(table.classes, both[0], train.labels, both[1], test.labels, design, text)


def simulate_orders(
    given: Given,
    order: str,
    seed: int,
    known: float,
    batches: Sequence[int],
    head: str,
    config: TrainingConfig,
    until: float = 1.0,
) -> Iterator[Point]:
    """Run the rounds of one order, and return their results; arguments as for `rounds_of`."""
    for each in rounds_of(given, order, seed, known, batches, head, config, until):
        yield each.point


def rounds_of(
    given: Given,
    order: str,
    seed: int,
    known: float | Int8[np.ndarray, "image class"],
    batches: Sequence[int],
    head: str,
    config: TrainingConfig,
    until: float = 1.0,
) -> Iterator[Round]:
    """Run the rounds of one order; the first is before any question.

    Args:
        given: Features and ground truth.
        order: Name of the order of questions.
        seed: Random seed of hiding, training and the random order.
        known: Share of the training labels that is known at the start, in [0, 1], or these labels; without any, the
            first round is random, because nothing is predicted yet.
        batches: Questions of each round.
        head: Head to train.
        config: Training configuration: random seed, and weight decay with all labels known (`weight_decay`).
        until: mAP at which to stop.
    """
    labels = known.copy() if isinstance(known, np.ndarray) else _hidden(given, known, seed)
    drawn = np.zeros(labels.shape, bool)
    decisions = present = corrected = pages = 0
    for number in range(len(batches) + 1):
        found = _predicted(given, labels, head, config.with_options(seed=seed))
        test = metrics.evaluate(found.test, given.test_labels, given.classes)
        share = float((labels != UNKNOWN).mean())
        point = Point(seed, order, number, decisions, share, present, test.map, corrected, pages)
        yield Round(point, labels.copy(), drawn.copy())
        if number == len(batches) or test.map >= until:
            return
        knowledge = Knowledge(
            found.probability, labels == UNKNOWN, labels, given.unit(), 1000 * seed + number
        )
        name = order if (labels != UNKNOWN).any() else "random"
        places, by_chance = first_cells(knowledge, name, batches[number])
        drawn.ravel()[places] = by_chance
        truth = given.truth.ravel()[places]
        labels.ravel()[places] = truth
        decisions += len(places)
        present += int((truth == PRESENT).sum())
        corrected += int(((found.probability.ravel()[places] >= 0.5) != (truth == PRESENT)).sum())
        pages += int(np.ceil(np.bincount(places % len(given.classes)) / PAGE).sum())


def first_cells(
    given: Knowledge, order: str, budget: int
) -> tuple[Int64[np.ndarray, " question"], Bool[np.ndarray, " question"]]:
    """Return what an order spends a budget on.

    Args:
        given: What is known.
        order: Name of the order of questions.
        budget: Number of cells.

    Returns:
        Cells as indices into the flattened table, and whether each was drawn at random.
    """
    plan = orders.made(order).plan(given)
    places = ordering.in_order(ordering.masked(plan.key, given.blank), given.blank)[:budget]
    return places, plan.drawn.ravel()[places]


def full_map(given: Given, seed: int, head: str, config: TrainingConfig) -> float:
    """Compute the mAP on the test part with all training labels known, which need no texts."""
    alone = given._replace(text=None)
    found = _predicted(alone, given.truth, head, config.with_options(seed=seed))
    return metrics.evaluate(found.test, given.test_labels, given.classes).map


def _hidden(given: Given, known: float, seed: int) -> Int8[np.ndarray, "image class"]:
    """Hide all but a share of the labels of the training part."""
    if known == 0:
        return np.full(given.truth.shape, UNKNOWN, np.int8)
    everything = LabelTable(tuple(map(str, range(len(given.truth)))), given.classes, np.array(given.truth))
    return everything.hide("uniform", known=known, seed=seed).labels.copy()


def _predicted(
    given: Given, labels: Int8[np.ndarray, "image class"], head: str, config: TrainingConfig
) -> RoundPredictions:
    """Fit to the known labels, and predict; without any known label, every label is expected to be absent."""
    known = float((labels != UNKNOWN).mean())
    if known == 0:
        return RoundPredictions(
            np.zeros(labels.shape, np.float32), np.zeros(given.test_labels.shape, np.float32)
        )
    config = config.with_options(weight_decay=weight_decay(config.decay, known))
    return round_predictions(
        given.train, labels, given.design, given.text, given.test, given.classes, head, config
    )


def weight_decay(all_known: float, share: float) -> float:
    """Compute the weight decay for a share of known labels: it falls with the square root of their number.

    Measured on photos of the part train that were held out (docs/log.md): better than one value for all rounds, and
    than the cross-validation of `train`, in which the order selected the held-out labels, too.

    Args:
        all_known: Weight decay with all labels known.
        share: Share of the labels that is known, in (0, 1].
    """
    return all_known / share**0.5


def simulate(
    given: Given,
    names: Sequence[str],
    seeds: int,
    known: float,
    batches: Sequence[int],
    head: str,
    config: TrainingConfig,
) -> list[Point]:
    """Run all orders with all seeds; arguments as for `simulate_orders`."""
    wanted = [(order, seed) for seed in range(seeds) for order in names]
    return [
        point
        for order, seed in track(wanted, "Simulating reviews")
        for point in simulate_orders(given, order, seed, known, batches, head, config)
    ]


def save_points(points: Sequence[Point], path: Path) -> Path:
    """Write points as CSV."""
    with atomic_write(path) as aside:
        pl.DataFrame(points, schema=list(Point._fields), orient="row").with_columns(
            pl.col("known", "map").round(5)
        ).write_csv(aside)
    return path
