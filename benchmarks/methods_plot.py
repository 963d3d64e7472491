"""The picture of docs/results.md: what each method gains over plain BCE on a linear head, by share of known labels.

python benchmarks/methods_plot.py benchmarks/results/bench-coco18.parquet benchmarks/results/bench-ccp.parquet \
    --png docs/img/methods.png
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from partlabel.bench import summary

COLOURS = {0.1: "#b3403a", 0.5: "#2f5fa8", 0.9: "#3a8f5c"}
"""By share of known labels."""
LEAST = -4.5
"""What is below, in mAP, stands at the edge with its figure."""


def gains(results: pl.DataFrame, share: float, baseline: str) -> dict[str, summary.Difference]:
    """By arm, its paired difference to the baseline at one share, in mAP of 100."""
    rows = results.filter(pl.col("known") == share)
    arms = rows["arm"].unique(maintain_order=True).to_list()
    found = {arm: summary.difference(rows, arm, baseline) for arm in arms if arm != baseline}
    return {arm: summary.Difference(*(100 * each for each in of)) for arm, of in found.items()}


def draw(sets: dict[str, pl.DataFrame], baseline: str, path: Path) -> None:
    """A panel a set, a line an arm, a mark a share; the arms in the order of their mean gain on the first set."""
    shown = {name: {share: gains(rows, share, baseline) for share in COLOURS} for name, rows in sets.items()}
    first = next(iter(shown.values()))
    means = {arm: mean([of[arm].mean for of in first.values() if arm in of]) for arm in first[0.1]}
    arms = sorted(means, key=means.__getitem__)
    figure = Figure(figsize=(9, 0.235 * len(arms) + 0.9), layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, (name, by_share) in zip(panels, shown.items(), strict=True):
        for (share, found), shift in zip(by_share.items(), (0.24, 0.0, -0.24), strict=True):
            _marks(axes, found, arms, share, shift)
        axes.axvline(0, color="#555555", linewidth=0.8)
        axes.set(
            title=name, xlabel=f"mAP less {baseline}", xlim=(LEAST - 0.3, None), ylim=(-0.7, len(arms) - 0.3)
        )
        axes.set_yticks(range(len(arms)), arms, fontsize=8)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    panels[0].legend(frameon=False, fontsize=8, loc="lower right", title="labels known", title_fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _marks(
    axes: Axes, found: dict[str, summary.Difference], arms: Sequence[str], share: float, shift: float
) -> None:
    """Draw the gains at one share with their intervals."""
    for place, arm in enumerate(arms):
        if arm not in found:
            continue
        gain, y = found[arm], place + shift
        axes.plot(
            [max(gain.low, LEAST), max(gain.high, LEAST)],
            [y, y],
            color=COLOURS[share],
            alpha=0.35,
            linewidth=1.5,
        )
        axes.plot(
            max(gain.mean, LEAST), y, "<" if gain.mean < LEAST else "o", color=COLOURS[share], markersize=3.5
        )
        if gain.mean < LEAST:
            axes.annotate(
                f"{gain.mean:.1f}", (LEAST, y), (4, 0), textcoords="offset points", va="center", fontsize=6
            )
    axes.plot([], [], "o", color=COLOURS[share], markersize=3.5, label=f"{share:.0%}")


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="+", help="as bench-coco18.parquet: a panel each")
    parser.add_argument("--baseline", default="linear")
    parser.add_argument("--png", type=Path, required=True)
    arguments = parser.parse_args()
    sets = {path.stem.removeprefix("bench-"): pl.read_parquet(path) for path in arguments.results}
    draw(sets, arguments.baseline, arguments.png)


if __name__ == "__main__":
    main()
