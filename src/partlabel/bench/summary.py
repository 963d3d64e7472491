"""Aggregation of results: mean, spread and rank of each arm, and its paired difference to a baseline."""

from collections.abc import Sequence
from math import nan, sqrt
from statistics import mean, stdev
from typing import Any, NamedTuple

import polars as pl

SCORE = "map"
"""Column that is compared."""


class Spread(NamedTuple):
    """Mean and spread of several values.

    Attributes:
        mean: Mean; NaN without values.
        deviation: Standard deviation of the sample; NaN for fewer than two values.
        number: Number of values.
    """

    mean: float
    deviation: float
    number: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Compute mean and standard deviation."""
        return cls(mean(values) if values else nan, stdev(values) if len(values) > 1 else nan, len(values))


class Difference(NamedTuple):
    """Paired difference to the baseline, over the cells that both have.

    Attributes:
        mean: Mean; NaN without common cells.
        low: Lower end of the 95 % interval; NaN for fewer than two seeds.
        high: Upper end of it.
    """

    mean: float
    low: float
    high: float


class Row(NamedTuple):
    """An arm under one protocol.

    Attributes:
        arm: Name of the arm.
        by_known: Score of the arm for each share of known labels.
        overall: Mean of those means; NaN where a share lacks a seed that another has.
        rank: Mean rank among the arms, over the cells that all have; NaN where there are none.
        difference: Difference to the baseline.
        seconds: Mean duration of a training.
        peak_mb: Maximum peak memory of a run in MB.
    """

    arm: str
    by_known: dict[float, Spread]
    overall: float
    rank: float
    difference: Difference
    seconds: float
    peak_mb: float


def rows(results: pl.DataFrame, baseline: str) -> list[Row]:
    """Aggregate the arms of one protocol, the best first; unfinished ones come last.

    Args:
        results: Rows of `results.parquet` of one protocol.
        baseline: Arm that the others are compared to.
    """
    results = results.with_columns(pl.col("known").fill_null(nan))
    places = _places(results)
    shares = sorted(results["known"].unique().to_list())
    made = []
    for (arm,), own in results.group_by("arm", maintain_order=True):
        by_known = {share: Spread.of(own.filter(_same("known", share))[SCORE].to_list()) for share in shares}
        whole = len(own) == len(shares) * own["seed"].n_unique()
        made.append(
            Row(
                str(arm),
                by_known,
                mean(each.mean for each in by_known.values()) if whole else nan,
                places.get(str(arm), nan),
                difference(results, str(arm), baseline),
                float(own["seconds"].mean()),  # type: ignore[arg-type]
                float(own["peak_mb"].max()),  # type: ignore[arg-type]
            )
        )
    return sorted(made, key=lambda row: (row.overall != row.overall, -row.overall))


def difference(results: pl.DataFrame, arm: str, baseline: str) -> Difference:
    """Subtract the baseline's score in the same cells (same hidden labels and seed), at shares that all seeds have.

    Shares of one seed are not independent, because their masks are nested: they are averaged first, and the interval is
    Student's t over the seeds.
    """
    keys = ["known", "seed"]
    ours, theirs = (results.filter(pl.col("arm") == name).select(*keys, SCORE) for name in (arm, baseline))
    both = ours.join(theirs, on=keys, suffix="_baseline", nulls_equal=True)
    both = both.filter(pl.len().over("known") == both["seed"].n_unique())
    by_seed = [
        float((of_seed[SCORE] - of_seed[f"{SCORE}_baseline"]).mean())  # type: ignore[arg-type]
        for _, of_seed in both.group_by("seed")
    ]
    middle = mean(by_seed) if by_seed else nan
    if len(by_seed) < 2:
        return Difference(middle, nan, nan)
    from scipy.stats import t

    half = float(t.ppf(0.975, len(by_seed) - 1)) * stdev(by_seed) / sqrt(len(by_seed))
    return Difference(middle, middle - half, middle + half)


def pseudo_labels(results: pl.DataFrame) -> dict[str, dict[str, list[Any]]]:
    """Return number, precision and recall of pseudo-labels in each epoch of one run, by arm and source."""
    import json

    found: dict[str, dict[str, list[Any]]] = {}
    for row in results.sort("seed").iter_rows(named=True):
        if row["arm"] in found:
            continue
        epochs = [epoch["pseudo_labels"] for epoch in json.loads(row["history"])]
        sources = sorted({source for epoch in epochs for source in epoch})
        for source in sources:
            for name in ("precision", "recall"):
                values = [epoch.get(source, {}).get(name) for epoch in epochs]
                if any(value is not None for value in values):
                    found.setdefault(row["arm"], {})[f"{source} {name}"] = values
    return found


def _places(results: pl.DataFrame) -> dict[str, float]:
    """Compute the mean rank of each arm, over the cells in which all arms are finished; ties share their rank."""
    arms = results["arm"].n_unique()
    whole = results.filter(pl.len().over("known", "seed") == arms)
    ranked = whole.with_columns(place=pl.col(SCORE).rank("average", descending=True).over("known", "seed"))
    return dict(ranked.group_by("arm").agg(pl.col("place").mean()).iter_rows())


def _same(column: str, value: float) -> pl.Expr:
    return pl.col(column).is_nan() if value != value else pl.col(column) == value
