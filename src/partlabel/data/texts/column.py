"""A column of the label file itself: `column:NAME`; in JSON, a key."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from partlabel.data.readers import _json, options_of, recognise
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.texts._matching import TableFile, by_image
from partlabel.data.texts.captions import pairs_in, pairs_of

PREFIX = "column:"


def recognises(source: str) -> bool:
    """Return whether the source starts with `column:`."""
    return source.startswith(PREFIX)


def without_text_columns(
    path: Path, name: str, options: Mapping[str, Any], sources: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """Return the format of a table and the options to read it, such that columns of texts are not classes.

    Args:
        path: Label file.
        name: Format of the table; `auto` detects it.
        options: Options of its reader.
        sources: Sources of texts; only `column:NAME` matters.

    Raises:
        ValueError: As `readers.recognise`.
    """
    given = dict(options)
    asked = [source.removeprefix(PREFIX) for source in sources if recognises(source)]
    if asked:
        name = recognise(path, options) if name == "auto" else name
        if any(option.name == "leave_out" for option in options_of(name)):
            given["leave_out"] = [*given.get("leave_out", ()), *asked]
    return name, given


def read(source: str, table: LabelTable, file: TableFile) -> list[list[str]]:
    """Read the texts of each image.

    Raises:
        ValueError: The label file is not known, is no table, or has no such column.
    """
    name, path = source.removeprefix(PREFIX), file.path
    if path is None or not name:
        lacking = (
            "the name of a column after the colon" if path is not None else "the label file: give label_file="
        )
        raise ValueError(f"{source}: it needs {lacking}")
    if not path.is_file():
        raise ValueError(f"{source}: {path} is a folder, which has no columns; give another source of texts")
    if path.suffix.lower() == ".json":
        content = _json.load(path)
        objects = [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []
        return by_image(path, table, pairs_of(path, objects, name, file.options.get("image_key")))
    return by_image(path, table, pairs_in(path, table.root, name, file.options))
