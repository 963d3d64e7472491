"""What a simulated review shows: mean curves, cells that an order needs, and their effort, as numbers and as a plot."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from partlabel.core.files import atomic_write
from partlabel.review import effort
from partlabel.review.simulation import Point

GOALS = (0.9, 0.95, 0.98, 0.99)
"""Shares of the full table's mAP."""


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


def _reached(decisions: Sequence[int] | Sequence[float], maps: Sequence[float], goal: float) -> float | None:
    """Return the number of decisions at which a curve first reaches a value."""
    if maps[0] >= goal:
        return float(decisions[0])
    for number in range(1, len(maps)):
        if maps[number] >= goal:
            low, high = maps[number - 1], maps[number]
            part = (goal - low) / (high - low)
            return decisions[number - 1] + part * (decisions[number] - decisions[number - 1])
    return None


def cells_asked(point: Point) -> float:
    """Return the cells asked until a point."""
    return float(point.decisions)


def keys_by_pages(point: Point) -> float:
    """Compute the keys and clicks of all pages until a point."""
    return effort.by_pages(*(float(getattr(point, name)) for name in _COUNTED)).keys


def cells_to_reach(
    points: Sequence[Point],
    full: Mapping[int, float],
    goals: Sequence[float] = GOALS,
    cost: Callable[[Point], float] = cells_asked,
) -> dict[str, list[list[float | None]]]:
    """Compute the cells that each order asks, or another cost, before it reaches shares of the full table's mAP.

    Args:
        points: Points of one start.
        full: mAP with all labels known, by seed.
        goals: Shares of it.
        cost: Function of a point, such as `keys_by_pages`.

    Returns:
        By order, for every goal, the cost of each seed; None where it is not reached.
    """
    return {
        order: [
            [_of_seed(points, order, seed, goal * full[seed], cost) for seed in sorted(full)]
            for goal in goals
        ]
        for order in dict.fromkeys(point.order for point in points)
    }


def _of_seed(
    points: Sequence[Point], order: str, seed: int, goal: float, cost: Callable[[Point], float]
) -> float | None:
    own = [point for point in points if (point.order, point.seed) == (order, seed)]
    return _reached([cost(p) for p in own], [p.map for p in own], goal) if own else None


def mean_or_none(values: Sequence[float | None]) -> float | None:
    """Return the mean; None if any value is missing."""
    given = [value for value in values if value is not None]
    return float(np.mean(given)) if values and len(given) == len(values) else None


def lines(points: Sequence[Point], full: Mapping[int, float], cells: int) -> list[str]:
    """Describe what each order needs for shares of the full table's mAP, and its effort.

    Args:
        points: Points of one start.
        full: mAP with all labels known, by seed.
        cells: Number of labels of the training part.
    """
    said = [
        f"mAP with all {cells:,} labels: {np.mean([*full.values()]):.1%}; cells asked for a share of it (of all cells):"
    ]
    spent = efforts(points)
    for order, goals in cells_to_reach(points, full).items():
        means = [mean_or_none(each) for each in goals]
        reached = (
            f"{goal:.0%}: {'not reached' if mean is None else f'{mean:,.0f} ({mean / cells:.1%})'}"
            for goal, mean in zip(GOALS, means, strict=True)
        )
        _, single, pages = spent[order][-1]
        said += [
            f"  {order:<10} {', '.join(reached)}",
            f"  {'':<10} at the end: {single.keys:,.0f} keys, {single.seconds / 3600:.1f} h one at a time; "
            f"{pages.keys:,.0f} keys and clicks, {pages.seconds / 3600:.1f} h by pages",
        ]
    return said


def efforts(points: Sequence[Point]) -> dict[str, list[tuple[float, effort.Effort, effort.Effort]]]:
    """Return, by order, the mean mAP after each round with the effort of single questions and of pages."""
    found = {}
    for order in dict.fromkeys(point.order for point in points):
        rounds: dict[int, list[Point]] = {}
        for point in points:
            if point.order == order:
                rounds.setdefault(point.round, []).append(point)
        found[order] = [
            (
                float(np.mean([p.map for p in same])),
                effort.one_at_a_time(float(np.mean([p.decisions for p in same]))),
                effort.by_pages(*(float(np.mean([getattr(p, f) for p in same])) for f in _COUNTED)),
            )
            for same in rounds.values()
        ]
    return found


_COUNTED = ("decisions", "pages", "corrected")


def plot(points: Sequence[Point], path: Path) -> Path:
    """Draw the curves as `.png` or `.svg`, with the range over seeds around each mean."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
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
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, loc="outside right center")
    with atomic_write(path) as aside:
        figure.savefig(aside, dpi=130)
    return path
