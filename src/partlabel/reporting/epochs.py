"""Plots of the epochs of a training."""

from collections.abc import Mapping, Sequence
from typing import TypedDict

from markupsafe import Markup

from partlabel.reporting import svg_plots


class Epoch(TypedDict, total=False):
    """Log of an epoch: `epoch`, loss `terms` by name, `val_map`, and statistics of pseudo-labels by source."""

    epoch: int
    terms: Mapping[str, float | None]
    val_map: float | None
    pseudo_labels: Mapping[str, Mapping[str, float | None]]


def training_plots(history: Sequence[Epoch]) -> dict[str, list[tuple[str, Markup]]]:
    """Plot loss terms, validation and pseudo-labels over the epochs."""
    if not history:
        return {"losses": [], "validation": [], "pseudo_labels": []}
    epochs = [epoch.get("epoch", n) for n, epoch in enumerate(history)]
    terms = dict.fromkeys(name for epoch in history for name in epoch.get("terms", {}))
    losses = [
        (
            name,
            svg_plots.line_plot(
                {name: [e.get("terms", {}).get(name) for e in history]}, epochs, legend=False, first_colour=n
            ),
        )
        for n, name in enumerate(terms)
    ]
    maps = [epoch.get("val_map") for epoch in history]
    validation = (
        [("mAP on validation", svg_plots.line_plot({"mAP": maps}, epochs, shares=True, legend=False))]
        if any(maps)
        else []
    )
    return {"losses": losses, "validation": validation, "pseudo_labels": _pseudo_labels(history, epochs)}


def _pseudo_labels(history: Sequence[Epoch], epochs: Sequence[int]) -> list[tuple[str, Markup]]:
    sources = dict.fromkeys(name for epoch in history for name in epoch.get("pseudo_labels", {}))
    drawn = []
    for number in ("count", "precision", "recall"):
        values = {
            source: [e.get("pseudo_labels", {}).get(source, {}).get(number) for e in history]
            for source in sources
        }
        if any(value is not None and value == value for line in values.values() for value in line):
            drawn.append((number, svg_plots.line_plot(values, epochs, shares=number != "count")))
    return drawn
