"""Results as Markdown tables and as a page with curves."""

from collections.abc import Iterator
from math import isnan
from pathlib import Path

import polars as pl

from partlabel.bench import summary
from partlabel.bench.summary import Difference, Row, Spread
from partlabel.core.files import atomic_write

DRAWN = 6
"""Maximum number of arms in a figure."""


def markdown(results: pl.DataFrame, baseline: str) -> str:
    """Format a table per protocol: score in percent, mean and standard deviation over seeds.

    Args:
        results: Rows of `results.parquet`.
        baseline: Arm that the others are compared to.
    """
    parts = []
    for protocol, of_protocol in _by_protocol(results):
        header, lines = formatted_cells(summary.rows(of_protocol, baseline), baseline)
        rule = ["---", *["---:"] * (len(header) - 1)]
        parts += [
            f"### {protocol}",
            "\n".join("| " + " | ".join(line) + " |" for line in (header, rule, *lines)),
        ]
    return "\n\n".join(parts) + "\n"


def formatted_cells(rows: list[Row], baseline: str) -> tuple[list[str], list[list[str]]]:
    """Format headings and rows of a table."""
    shares = list(rows[0].by_known)
    header = [
        "", *[_share(share) for share in shares], *(["mean"] if len(shares) > 1 else []), "rank",
        f"gain over `{baseline}` (95 % interval)", "s", "MB",
    ]  # fmt: skip
    lines = [
        [
            row.arm,
            *[_spread(row.by_known[share]) for share in shares],
            *([_percent(row.overall)] if len(shares) > 1 else []),
            _number(row.rank, "{:.1f}"),
            "" if row.arm == baseline else _difference(row.difference),
            f"{row.seconds:.0f}",
            f"{row.peak_mb:.0f}",
        ]
        for row in rows
    ]
    return header, lines


def write_tables(results: pl.DataFrame, baseline: str, out: Path, title: str) -> None:
    """Write `results.md` and `results.html`.

    Args:
        results: Rows of `results.parquet`.
        baseline: Arm that the others are compared to.
        out: Folder.
        title: Title of the page.
    """
    from partlabel.reporting import svg_plots
    from partlabel.reporting.page import write_page

    with atomic_write(out / "results.md") as aside:
        aside.write_text(f"# {title}\n\n{markdown(results, baseline)}", encoding="utf-8")
    sections = []
    for protocol, of_protocol in _by_protocol(results):
        rows = summary.rows(of_protocol, baseline)
        header, lines = formatted_cells(rows, baseline)
        shares = list(rows[0].by_known)
        curves = None
        if len(shares) > 1:
            chosen = [row for row in rows if row.arm != baseline][: DRAWN - 1]
            chosen += [row for row in rows if row.arm == baseline]
            drawn = {row.arm: [row.by_known[share].mean for share in shares] for row in chosen}
            curves = svg_plots.line_plot(
                drawn,
                [round(100 * share) for share in shares],
                shares=True,
                zero=False,
                x="known labels, percent",
            )
        least = of_protocol.filter(
            pl.col("known").is_null() | (pl.col("known") == of_protocol["known"].min())
        )
        pseudo = [
            (arm, svg_plots.line_plot(series, range(1, len(next(iter(series.values()))) + 1), shares=True))
            for arm, series in summary.pseudo_labels(least).items()
        ]
        sections.append(
            {"protocol": protocol, "header": header, "lines": lines, "curves": curves, "pseudo": pseudo}
        )
    write_page(out / "results.html", "bench.html", {"title": title, "sections": sections})


def _by_protocol(results: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    for (protocol,), rows in results.group_by("protocol", maintain_order=True):
        yield str(protocol), rows


def _share(share: float) -> str:
    return "mAP" if isnan(share) else f"{100 * share:g} %"


def _spread(value: Spread) -> str:
    """Format as `61.4 ± 0.3`; without a standard deviation, the mean alone."""
    if isnan(value.mean):
        return "–"
    return _percent(value.mean) + ("" if isnan(value.deviation) else f" ± {100 * value.deviation:.1f}")


def _difference(value: Difference) -> str:
    """Format as `+1.1 (+0.8, +1.4)`."""
    mean = _number(100 * value.mean, "{:+.1f}")
    return mean if isnan(value.low) else f"{mean} ({100 * value.low:+.1f}, {100 * value.high:+.1f})"


def _percent(value: float) -> str:
    return _number(100 * value, "{:.1f}")


def _number(value: float, form: str) -> str:
    return "–" if isnan(value) else form.format(value)
