"""Shared by commands: describe tables, labels and results in the terminal."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from rich.table import Table

    from partlabel.audit.inspection import Class
    from partlabel.data.tables.closure import Closure
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.data.tables.provenance import Origins
    from partlabel.evaluation.headline import Headline

MOST_CLASSES, MOST_NAMES, MOST_PARTS = 40, 8, 40


def extent(table: "LabelTable") -> str:
    known = f"{table.known:,} of {table.labels.size:,} labels known"
    text = f"{len(table):,} images, {len(table.classes):,} classes, {known}"
    from partlabel.core.messages import some

    parts = some((f"{name or 'no part'} {size:,}" for name, size in table.part_sizes.items()), MOST_PARTS)
    return f"{text}; {parts}" if parts else text


def classes_table(classes: Sequence["Class"]) -> "Table":
    """Tabulate the labels of each class; if there are many classes, those that are most often present."""
    from rich.table import Column, Table

    order = sorted(classes, key=lambda each: -each.present)
    numbers = [Column(name, justify="right") for name in ("present", "absent", "unknown")]
    shown = Table(Column("class", overflow="fold"), *numbers, show_footer=True, box=None)
    for each in order[:MOST_CLASSES]:
        shown.add_row(each.name, *(f"{count:,}" for count in each[1:]))
    more = len(order) - MOST_CLASSES
    shown.columns[0].footer = f"all {len(classes):,}" + (f" ({more:,} not shown)" if more > 0 else "")
    for at, column in enumerate(shown.columns[1:], start=1):
        column.footer = f"{sum(int(each[at]) for each in classes):,}"
    return shown


def some_of(names: Sequence[str], of: int | None = None) -> str:
    more = (len(names) if of is None else of) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def show(table: "Table") -> None:
    from rich.console import Console

    Console(markup=False, highlight=False).print(table)


def say_closure(closure: "Closure | None") -> None:
    """Print what follows from rules, and the labels that contradict them; nothing without rules."""
    if closure is not None:
        print("\n".join([closure.sentence, *closure.lines(MOST_NAMES)]))


def say_texts(table: "LabelTable", file: Path | None = None) -> None:
    """Print how many photos have text, if the table has texts.

    Args:
        table: Label table.
        file: File of the table; its columns of texts are named, because they were found without being asked for.
    """
    if table.texts is None:
        return
    columns = [] if file is None else _text_columns(file, table.classes)
    named = f", in column {', '.join(map(repr, columns))} of {file}" if columns else ""
    number = sum(map(len, table.texts))
    print(f"{sum(map(bool, table.texts)):,} of {len(table):,} photos have text ({number:,} texts{named})")


def _text_columns(file: Path, classes: Sequence[str]) -> list[str]:
    """Return the columns of texts of a table file, as its reader finds them; of another file none."""
    from partlabel.data.readers import _columns
    from partlabel.data.readers._text_columns import text_columns

    if not _columns.is_table(file):
        return []
    names = _columns.header(file)
    among = [at for at, name in enumerate(names) if name not in classes]
    return [names[at] for at in text_columns(file, names, among, None)]


def say_without_labels(table: "LabelTable", tower: str | None = None) -> None:
    """Print what a table without known labels is learned from.

    Args:
        table: Training photos.
        tower: Tower that compares photos with class names.
    """
    from partlabel.audit.text_statistics import photos_with_mentions

    said = "No labels: nothing can be measured."
    if tower is not None:
        print(f"{said} The tower {tower} compares the photos with the names of the classes")
        said = "Of the texts:"
    if tower is not None and table.texts is None:
        return
    photos = sum(map(bool, table.texts or ()))
    print(
        f"{said} {photos:,} of {len(table):,} training photos have text, and "
        f"{photos_with_mentions(table):,} of these mention a class by name"
    )


def say_how_known(
    labels: "np.ndarray", origins: "Origins | None" = None, scores: "np.ndarray | None" = None
) -> None:
    """Print in one sentence how the known labels were selected; warn if that is implausible."""
    import warnings

    from partlabel.priors import label_selection

    if not labels.size:
        return
    found = label_selection.describe(labels, origins, scores)
    print(found.sentence)
    if found.warning:
        warnings.warn(found.warning, stacklevel=2)


def print_headline(found: "Headline") -> None:
    """Print a headline: its sentence, and below it what is needed to interpret the sentence."""
    first, *others = found.lines
    print("\n".join([first, *(f"  {line}" for line in others)]))
