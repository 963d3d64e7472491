"""The candidates of a search as a table for the terminal, from the content of `selection.json`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

OUT_OF_FOLD, VALIDATION = "out-of-fold predictions", "validation set"
"""Data that a run is evaluated on."""


def candidates_table(found: Mapping[str, Any]) -> "Table":
    """Format the candidates, best first, the chosen one in bold."""
    from rich import box
    from rich.table import Table

    by = f"by {found['folds']}-fold cross-validation " if found["folds"] else ""
    title = (
        f"Settings compared {by}on {found['known']:,} known labels of {found['images']:,} "
        f"{'training' if by else 'validation'} images ({found['seconds']:.0f} s)"
    )
    if not found["known"]:
        title = (
            f"Weight decay chosen by {found['folds']}-fold cross-validation against soft labels from the texts "
            f"({found['seconds']:.0f} s)"
        )
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    table.add_column("method")
    table.add_column("head")
    for heading in ("weight decay", found["criterion"].replace("_", " "), "seconds"):
        table.add_column(heading, justify="right")
    for number, each in enumerate(found["candidates"]):
        method = _method(each, found["candidates"])
        row = (f"{each['weight_decay']:.3g}", f"{each['cost']:.4f}", f"{each['seconds']:.1f}")
        table.add_row(method, each["head"], *row, style=None if number else "bold")
    return table


def _method(candidate: Mapping[str, Any], among: Sequence[Mapping[str, Any]]) -> str:
    """Format the name of a method with those of its options in which candidates of that name differ."""
    same = [each["method_args"] for each in among if each["method"] == candidate["method"]]
    own = candidate["method_args"]
    options = [
        f"{name} {value}" for name, value in own.items() if any(each.get(name) != value for each in same)
    ]
    return f"{candidate['method']} ({', '.join(options)})" if options else candidate["method"]
