"""The candidates of a search as a table for the terminal, from what `selection.json` holds."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

OUT_OF_FOLD, VALIDATION = "out-of-fold predictions", "validation set"
"""What the evaluation of a run is about."""


def candidates_table(found: Mapping[str, Any]) -> "Table":
    """The candidates, best first, the chosen one in bold."""
    from rich import box
    from rich.table import Table

    title = (
        f"Settings compared by {found['folds']}-fold cross-validation on {found['known']:,} known labels of "
        f"{found['images']:,} images ({found['seconds']:.0f} s)"
    )
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("method")
    table.add_column("head")
    for heading in ("weight decay", found["criterion"].replace("_", " "), "seconds"):
        table.add_column(heading, justify="right")
    for number, each in enumerate(found["candidates"]):
        options = ", ".join(f"{name} {value}" for name, value in each["method_args"].items())
        method = f"{each['method']} ({options})" if options else each["method"]
        row = (f"{each['weight_decay']:.3g}", f"{each['cost']:.4f}", f"{each['seconds']:.1f}")
        table.add_row(method, each["head"], *row, style=None if number else "bold")
    return table
