"""The table and the plot of docs/speed.md, from results of `head.py`.

python benchmarks/head_plot.py benchmarks/results/head.csv benchmarks/results/head-growth.csv --png docs/img/head.png
"""

import argparse
from pathlib import Path

import polars as pl
from matplotlib.figure import Figure

NAMES = {
    "literal": "as published",
    "ours": "ours, all pairs",
    "bf16": "ours, bfloat16",
    "compiled": "ours, torch.compile",
}
DRAWN = {"literal": ("#b3403a", "s"), "ours": ("#2f5fa8", "o"), "rank 64": ("#3a8f5c", "^")}


def table(rows: pl.DataFrame) -> str:
    """A line per number of classes and arm, in Markdown."""
    lines = [
        "| classes | | seconds | peak, MB | of the published time | of the published memory | of the floor | load |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows.iter_rows(named=True):
        base = rows.filter((pl.col("classes") == row["classes"]) & (pl.col("arm") == "literal"))
        time = memory = ""
        if len(base) and row["arm"] != "literal":
            time = f"1 / {base['seconds'][0] / row['seconds']:.2f}"
            memory = f"{row['peak_mb'] / base['peak_mb'][0]:.0%}" if row["peak_mb"] else ""
        peak = f"{row['peak_mb']:.0f}" if row["peak_mb"] else ""
        lines.append(
            f"| {row['classes']} | {NAMES.get(row['arm'], 'ours, pair_' + row['arm'])} | {row['seconds']:.2f} | {peak} "
            f"| {time} | {memory} | {row['of_floor']:.0%} | {row['load']:.0f} |"
        )
    return "\n".join(lines)


def draw(rows: pl.DataFrame, path: Path) -> None:
    """Time and memory by number of classes."""
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    for axes, column, unit, name in zip(
        figure.subplots(1, 2),
        ("seconds", "peak_mb"),
        (1, 1000),
        ("seconds a step", "peak memory of a step, GB"),
        strict=True,
    ):
        for arm, (colour, marker) in DRAWN.items():
            line = rows.filter(pl.col("arm") == arm).sort("classes").drop_nulls(column)
            label = NAMES.get(arm, f"ours, pair_{arm}".replace(" ", " ")).replace("pair_rank", "pair rank")
            axes.plot(line["classes"], line[column] / unit, color=colour, marker=marker, label=label)
        axes.set(xscale="log", yscale="log", xlabel="classes", title=name)
        axes.set_xticks(ticks := sorted(set(rows["classes"])), [f"{each:,}" for each in ticks])
        axes.minorticks_off()
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the table, draw the plot."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--png", type=Path)
    arguments = parser.parse_args()
    rows = pl.concat([pl.read_csv(path) for path in arguments.results], how="diagonal_relaxed")
    rows = rows.sort("classes", maintain_order=True)
    print(table(rows))
    if arguments.png:
        draw(rows, arguments.png)


if __name__ == "__main__":
    main()
