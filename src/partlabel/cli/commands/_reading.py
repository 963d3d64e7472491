"""Shared by commands: read the label table that the options name, or that of a run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from partlabel.core.labels import Absent

if TYPE_CHECKING:
    from partlabel.data.tables.filled import FilledTable
    from partlabel.data.tables.label_table import LabelTable


def read_table(
    table: Path,
    images: Path | None,
    absent: Absent | None = None,
    format: Mapping[str, Any] | None = None,
    missing: Literal["refuse", "keep"] = "refuse",
    texts: Sequence[str] | None = None,
) -> "LabelTable":
    """Read the label table named by a command's options, and attach texts from the sources in `texts`."""
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.data.texts import attach, column

    options = dict(format or {"name": "auto"})
    name, options = column.without_text_columns(table, options.pop("name"), options, texts or ())
    given = LabelTable.read(table, images, name, absent, missing, **options)
    return attach(given, texts or (), table, options)


def read_grouped(
    table: Path,
    images: Path | None,
    absent: Absent | None,
    format: Mapping[str, Any],
    group: str,
    missing: Literal["refuse", "keep"] = "refuse",
    texts: Sequence[str] | None = None,
) -> "tuple[LabelTable, list[str]]":
    """Read a table as `read_table`, and the group of each image from a column that is not a class."""
    from partlabel.data.tables import group_column

    options = dict(format)
    name, options = group_column.leaving_out(table, options.pop("name"), options, group)
    given = read_table(table, images, absent, {"name": name, **options}, missing, texts)
    return given, group_column.read_groups(table, given, group, options)


def read_filled(
    table: Path,
    images: Path | None,
    absent: Absent | None = None,
    format: Mapping[str, Any] | None = None,
    missing: Literal["refuse", "keep"] = "refuse",
    texts: Sequence[str] | None = None,
) -> "LabelTable | FilledTable":
    """Read a table as `read_table`; a table that was filled before keeps its probabilities and sources."""
    from partlabel.data import readers
    from partlabel.data.tables.filled import FilledTable
    from partlabel.data.texts import attach, column

    options = dict(format or {"name": "auto"})
    name = options.pop("name")
    filled = name in ("auto", "wide_csv") and FilledTable.is_in(table, options.get("separator"))
    if filled and (name == "wide_csv" or readers.recognise(table, options) == "wide_csv"):
        _, options = column.without_text_columns(table, "wide_csv", options, texts or ())
        found = FilledTable.load(table, images, absent=absent, missing=missing, **options)
        return replace(found, table=attach(found.table, texts or (), table, options))
    return read_table(table, images, absent, format, missing, texts)


def run_table(
    run: Path,
    table: Path | None,
    images: Path | None,
    absent: Absent | None,
    format: Mapping[str, Any],
    missing: Literal["refuse", "keep"] = "refuse",
    texts: Sequence[str] | None = None,
) -> "LabelTable":
    """Read the label table that is named, else the one that a run was trained on, with the image folder of that run."""
    if table is not None:
        return read_table(table, images, absent, format, missing, texts)
    return read_table(*of_run(run, images), missing=missing, texts=texts)


def of_run(run: Path, images: Path | None) -> tuple[Path, Path]:
    """Return the paths of the label table that a run was trained on and of its image folder."""
    from partlabel.core.files import read_json
    from partlabel.training.run_folder import Run

    folder = Run(run)
    if not folder.labels.exists():
        raise FileNotFoundError(f"{run} holds no label table of its own; give one as TABLE")
    return folder.labels, images or Path(read_json(folder.config)["data"]["images"])
