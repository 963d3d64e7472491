"""Columns and keys that hold texts about the photos, decided by their names and by what they contain."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from partlabel.data.readers import _columns, _roles
from partlabel.data.readers._cells import is_null
from partlabel.data.tables.text_cells import says_something

NAMES = (
    "text",
    "texts",
    "caption",
    "captions",
    "description",
    "descriptions",
    "title",
    "titles",
    "alt",
    "alttext",
)
"""Names of columns of texts, in lower case without spaces, `_` and `-`."""


def strings_in(value: Any) -> list[str]:
    """Return the strings of a value: itself, or those in a list of strings or of objects with a text."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        return []
    inner = [
        text
        for each in value
        if isinstance(each, dict)
        for key, text in each.items()
        if isinstance(text, str) and _roles.plain(key) in NAMES
    ]
    return [*(each for each in value if isinstance(each, str)), *inner]


def texts_of(entry: Mapping[str, Any], but: Collection[str | None] = ()) -> list[str]:
    """Return the texts of a JSON object: strings, or lists of strings, under keys of `NAMES`.

    Args:
        entry: JSON object.
        but: Keys that have another role.
    """
    return [
        text
        for key, value in entry.items()
        if isinstance(key, str) and _roles.plain(key) in NAMES and key not in but
        for text in strings_in(value)
    ]


def text_columns(path: Path, names: Sequence[str], among: Sequence[int], separator: str | None) -> list[int]:
    """Return the columns of texts: those with such a name (`NAMES`) of which most cells with content are texts.

    A class may be called `title` as well: its cells are 1, 0 and blank.

    Args:
        path: Table file.
        names: Names of its columns.
        among: Columns to look at, by position.
        separator: Separator between the cells of the file.
    """
    nested = _columns.nested(path)
    asked = [at for at in among if _roles.plain(names[at]) in NAMES and names[at] not in nested]
    found, open_ = [], asked
    for block in _columns.blocks(path, asked, names, separator) if asked else ():
        decided = {at: are_texts(_columns.strings(block[asked.index(at)])) for at in open_}
        found += [at for at, is_text in decided.items() if is_text]
        open_ = [at for at, is_text in decided.items() if is_text is None]
        if not open_:
            break
    return [at for at in asked if at in found]


def are_texts(cells: Sequence[str]) -> bool | None:
    """Return whether most cells with content are texts; None if no cell has content."""
    informative = [says_something(cell) for cell in cells if cell.strip() and not is_null(cell)]
    return sum(informative) * 2 > len(informative) if informative else None
