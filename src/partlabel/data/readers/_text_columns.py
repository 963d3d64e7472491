"""Columns of a table that hold texts about the photos, decided by their names and by their cells."""

from collections.abc import Sequence
from pathlib import Path

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
        told = {at: are_texts(_columns.strings(block[asked.index(at)])) for at in open_}
        found += [at for at, is_text in told.items() if is_text]
        open_ = [at for at, is_text in told.items() if is_text is None]
        if not open_:
            break
    return [at for at in asked if at in found]


def are_texts(cells: Sequence[str]) -> bool | None:
    """Whether most cells with content are texts; None if no cell has content."""
    told = [says_something(cell) for cell in cells if cell.strip() and not is_null(cell)]
    return sum(told) * 2 > len(told) if told else None
