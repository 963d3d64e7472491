"""Plots of the report, as SVG for HTML.

Drawn by matplotlib without pyplot. Colours are placeholders that become variables of the page's style sheet, and text
stays text, so that a plot has the page's font and its light or dark colours.
"""

import re
import warnings
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any, SupportsFloat

import matplotlib
import numpy as np
from jaxtyping import Float
from markupsafe import Markup
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter

INK, MUTED, RULE = "#010101", "#010102", "#010103"
SERIES = tuple(f"#01020{n}" for n in range(1, 7))
VARIABLES = {INK: "--ink", MUTED: "--muted", RULE: "--rule"} | {
    c: f"--series-{n}" for n, c in enumerate(SERIES, 1)
}
HEAT = LinearSegmentedColormap.from_list("heat", [(0.40, 0.34, 0.85, 0.0), (0.40, 0.34, 0.85, 1.0)])
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "partlabel",
    "text.parse_math": False,
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
}


def line_plot(
    series: Mapping[str, Sequence[SupportsFloat | None]],
    epochs: Sequence[int],
    *,
    shares: bool = False,
    legend: bool = True,
    first_colour: int = 0,
    x: str = "epoch",
    zero: bool = True,
) -> Markup:
    """Draw one line per series over the epochs, or over another count.

    Args:
        series: One value per epoch for each name; None or NaN leaves a gap.
        epochs: Epoch of each value.
        shares: Values are in [0, 1] and shown in percent.
        legend: Whether to draw a legend.
        first_colour: Index of the first series' colour.
        x: Label of the horizontal axis.
        zero: Whether the vertical axis starts at zero.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.6, 2.3), layout="constrained")
        axes = figure.add_subplot()
        for n, (name, values) in enumerate(series.items()):
            colour = SERIES[(first_colour + n) % len(SERIES)]
            marker = "o" if len(epochs) <= 25 else None
            axes.plot(
                epochs, np.array(values, dtype=float), marker=marker, color=colour, label=_visible(name)
            )
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.set_xlabel(x)
        axes.margins(y=0.12)
        axes.set_ylim(bottom=0 if shares and zero else None)
        if shares:
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
        else:
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        if legend:
            figure.legend(loc="outside upper left", ncols=3, handlelength=1.2)
        return _svg(figure)


def heat_map(
    matrix: Float[np.ndarray, "class class"],
    names: Sequence[str],
    *,
    highest: float | None = None,
) -> Markup:
    """Draw a square matrix of shares, its diagonal left blank.

    Args:
        matrix: Matrix of shares, the same classes in rows and columns.
        names: Class names.
        highest: Value of the darkest colour; by default the largest value off the diagonal.
    """
    shown = np.where(np.eye(len(names), dtype=bool), np.nan, matrix)
    highest = highest or top(matrix)
    side = min(max(0.24 * len(names), 2.0), 9.0)
    with matplotlib.rc_context(
        STYLE | {"axes.grid": False, "axes.spines.left": False, "axes.spines.bottom": False}
    ):
        figure = Figure(figsize=(side + 1.6, side + 1.1), layout="constrained")
        axes = figure.add_subplot()
        drawn = axes.imshow(shown, cmap=HEAT, vmin=0, vmax=highest, interpolation="none")
        labels = [name if len(name) <= 22 else name[:21] + "…" for name in names]
        axes.set_xticks(range(len(names)), labels, rotation=90, fontsize=8)
        axes.set_yticks(range(len(names)), labels, fontsize=8)
        colours = figure.colorbar(drawn, ax=axes, shrink=0.5, aspect=24, pad=0.02, format=PercentFormatter(1))
        colours.outline.set_visible(False)
        return _svg(figure)


def top(matrix: Float[np.ndarray, "class class"]) -> float:
    """Return the largest finite value off the diagonal; 1 if all are zero or there is none."""
    apart = matrix[~np.eye(len(matrix), dtype=bool)]
    return float(np.nan_to_num(apart, nan=0, posinf=0, neginf=0).max(initial=0)) or 1.0


def _visible(name: str) -> str:
    """Make names visible in the legend: matplotlib leaves out those that start with an underscore."""
    return "\u2009" + name if name.startswith("_") else name


def _svg(figure: Figure) -> Markup:
    """Return the figure as an `<svg>` that scales with its box and has the page's colours; names are escaped."""
    file = StringIO()
    with warnings.catch_warnings():  # the browser has glyphs that matplotlib's font lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style)\b.*?</\1>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r' (width|height)="[^"]*"', "", text, count=2)  # the outer box's, which come first
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return Markup(text)
