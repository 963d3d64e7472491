"""Groups of images that belong together, given by a column of the table's file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from partlabel.data.images.paths import resolve
from partlabel.data.readers import _columns, _image_column, recognise
from partlabel.data.tables.label_table import LabelTable


def leaving_out(path: Path, name: str, options: Mapping[str, Any], column: str) -> tuple[str, dict[str, Any]]:
    """Return the format of a table and the options to read it, such that the group column is not a class.

    Raises:
        ValueError: The file is not a table with columns.
    """
    name = recognise(path, options) if name == "auto" else name
    if name not in ("wide_csv", "long_csv"):
        raise ValueError(f"{path}: groups are a column of a CSV or parquet table; this is read as {name}")
    given = dict(options)
    if name == "wide_csv":
        given["leave_out"] = [*given.get("leave_out", ()), column]
    return name, given


def read_groups(path: Path, table: LabelTable, column: str, options: Mapping[str, Any]) -> list[str]:
    """Return the group of each image of a table that was read from a file, without surrounding spaces.

    Raises:
        ValueError: The column does not exist, a row has no group, or an image is in two groups.
    """
    separator = options.get("separator")
    names = _columns.header(path, separator)
    at = [
        _image_column.image_column(path, names, options.get("image_column"), separator, table.root),
        _columns.column_at(path, names, column),
    ]
    listed, groups = (_columns.strings(each) for each in _columns.columns(path, at, names, separator))
    groups = [group.strip() for group in groups]
    found: dict[str, str] = {}
    paths = resolve(path, listed, table.root, options.get("suffix"))
    for row, (image, group) in enumerate(zip(paths, groups, strict=True), start=1):
        if not group:
            raise ValueError(f"{path}: row {row} ({image}) has no {column!r}; give every image a group")
        if found.setdefault(image, group) != group:
            raise ValueError(
                f"{path}: image {image!r} has both {found[image]!r} and {group!r} as {column!r}; it can have one"
            )
    return [found[image] for image in table.images]
