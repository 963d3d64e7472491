"""Images that a file of texts names, found in a label table: by path, else by a file name that occurs only once."""

import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from partlabel.core.fixes import Argument, InputError
from partlabel.data.images.written_paths import parts_of
from partlabel.data.tables.label_table import LabelTable

NamedText = tuple[str, str]
"""Path of an image as written, and a text."""


class TableFile(NamedTuple):
    """Where a table comes from.

    Attributes:
        path: File that it was read from; None if not known.
        options: Options that its reader was given.
    """

    path: Path | None
    options: dict[str, Any]


def paths_of(source: str, table: LabelTable) -> list[Path]:
    """Return the path of each image.

    Raises:
        ValueError: The table has no image folder.
    """
    if table.root is None:
        raise InputError(
            f"{source}: the texts are with the photos, and the table has no image folder: give it with ",
            Argument("images", placeholder="FOLDER"),
        )
    return [Path(f"{table.root}/{image}") for image in table.images]


def by_image(source: str | Path, table: LabelTable, pairs: Sequence[NamedText]) -> list[list[str]]:
    """Return the texts of each image of a table.

    Args:
        source: File of the texts, for messages.
        table: Label table.
        pairs: Images as written, and a text of each; an image may occur several times.

    Raises:
        ValueError: No image of the table is named.

    Warns:
        UserWarning: Rows name no image of the table, or were matched by the file name alone.
    """
    rows = _rows_of(source, table, dict.fromkeys(image for image, _ in pairs))
    found: list[list[str]] = [[] for _ in table.images]
    strange = 0
    for image, text in pairs:
        if (row := rows.get(image)) is None:
            strange += 1
        else:
            found[row].append(text)
    if not rows:
        shown = f": it has {pairs[0][0]!r}, the table {table.images[0]!r}" if pairs else ""
        raise ValueError(f"{source}: none of its {len(pairs):,} texts is of a photo of the table{shown}")
    if strange:
        first = next(image for image, _ in pairs if image not in rows)
        warnings.warn(
            f"{source}: {strange:,} of {len(pairs):,} texts match no photo of the table, such as that of {first!r}",
            stacklevel=4,
        )
    return found


def _rows_of(source: str | Path, table: LabelTable, written: Iterable[str]) -> dict[str, int]:
    """Return the row of each written path that names an image of the table."""
    paths = {image: row for row, image in enumerate(table.images)}
    found, rest = {}, []
    for path in written:
        parts = parts_of(path)
        tails = ("/".join(parts[start:]) for start in range(len(parts)))
        row = next((paths[tail] for tail in tails if tail in paths), None)
        if row is not None:
            found[path] = row
        elif parts:
            rest.append(path)
    named = _by_name(table.images, rest, {*found.values()}) if rest else {}
    if named:
        path, row = next(iter(named.items()))
        warnings.warn(
            f"{source}: {len(named):,} photo(s) were found by the file name alone: {path!r} is {table.images[row]!r}",
            stacklevel=5,
        )
    return found | named


def _by_name(images: Sequence[str], written: Sequence[str], taken: set[int]) -> dict[str, int]:
    """Match paths by a file name (an id without suffix: by the name without suffix) that occurs once on both sides."""
    rows: dict[str, list[int]] = defaultdict(list)
    for row, image in enumerate(images):
        name = _plain(image.rpartition("/")[2])
        for key in {name, name.rpartition(".")[0]}:
            rows[key].append(row)
    wanted: dict[int, list[str]] = defaultdict(list)
    for path in written:
        name = _plain(parts_of(path)[-1])
        there = rows.get(name, [])
        if len(there) == 1:
            wanted[there[0]].append(path)
    return {paths[0]: row for row, paths in wanted.items() if len(paths) == 1 and row not in taken}


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
