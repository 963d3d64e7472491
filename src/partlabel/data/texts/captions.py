"""Files with a column of images and columns of texts: CSV, TSV, parquet, JSON Lines; several rows per image allowed.

Columns of texts are those with a usual name (`caption`, `text`, `title`, ...); without one, all others whose cells are
texts. `captions.csv:notes` names the column.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from partlabel.core.messages import did_you_mean, some
from partlabel.core.text_files import lines_of
from partlabel.data.readers import _columns, _image_column, _roles
from partlabel.data.readers._text_columns import NAMES, are_texts, strings_in
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.texts._matching import NamedText, TableFile, by_image

_TABLES, _LINES = (".csv", ".tsv", ".parquet"), (".jsonl", ".ndjson")
_SEPARATORS = (";", "\t", "|")


def recognises(source: str) -> bool:
    """Return whether the source is a file with such a suffix, perhaps followed by `:` and a column."""
    path, _ = parted(source)
    return path.is_file() and path.suffix.lower() in (*_TABLES, *_LINES)


def read(source: str, table: LabelTable, file: TableFile) -> list[list[str]]:
    """Read the texts of each image.

    Raises:
        ValueError: The file has no column of images or of texts, or names no image of the table.
    """
    path, column = parted(source)
    return by_image(path, table, pairs_in(path, table.root, column))


def parted(source: str) -> tuple[Path, str | None]:
    """Divide `captions.csv:notes` into file and column; the column is None if none is named."""
    file, colon, column = source.rpartition(":")
    if colon and not Path(source).is_file() and Path(file).is_file():
        return Path(file), column
    return Path(source), None


def pairs_in(
    path: Path, images: Path | None, column: str | None = None, options: Mapping[str, Any] | None = None
) -> list[NamedText]:
    """Return the images of a file as written, each with a text.

    Args:
        path: CSV, TSV, parquet or JSON Lines.
        images: Image folder.
        column: Column of texts; found by its name or its cells if None.
        options: Options of the reader of the file: `separator`, `image_column` or `image_key`.

    Raises:
        ValueError: There is no column of images or of texts.
    """
    given = dict(options or {})
    if path.suffix.lower() not in _TABLES:
        return pairs_of(path, _objects(path), column, given.get("image_key"))
    separator = given.get("separator") or _separator(path)
    names = _columns.header(path, separator)
    image = _image_column.image_column(path, names, given.get("image_column"), separator, images)
    if column is None:
        texts = _text_columns(path, names, image, separator)
    else:
        texts = [_columns.column_at(path, names, column)]
    listed, *found = _cells(path, [image, *texts], names, separator)
    return [
        (image, text)
        for image, *of_row in zip(listed, *found, strict=True)
        for text in of_row
        if image and text
    ]


def pairs_of(
    path: Path, objects: Sequence[Mapping[str, Any]], column: str | None, image_key: str | None = None
) -> list[NamedText]:
    """Return the images of JSON objects as written, each with a text; a value is a text or a list of texts.

    Raises:
        ValueError: There is no key of images or of texts.
    """
    keys = list(dict.fromkeys(key for each in objects for key in each))
    usual = [key for name in _roles.IMAGES for key in keys if _roles.plain(key) == name]
    image = image_key or next(iter(usual), None)
    if image is None or image not in keys:
        raise ValueError(
            f"{path}: no object has a key 'image' with the path of the photo; it has: {some(keys)}"
        )
    if column is not None and column not in keys:
        raise ValueError(
            f"{path}: there is no key {column!r}{did_you_mean(column, keys)}; there are: {some(keys)}"
        )
    texts = [column] if column else [key for key in keys if _roles.plain(key) in NAMES]
    if not texts:
        raise _no_texts(path, [key for key in keys if key != image])
    return [
        (each[image], text)
        for each in objects
        if isinstance(each.get(image), str)
        for key in texts
        for text in strings_in(each.get(key))
    ]


def _objects(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON Lines file.

    Raises:
        ValueError: A line is not a JSON object.
    """
    found = []
    for number, line in enumerate(lines_of(path), start=1):
        if line.strip():
            try:
                found.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"{path}: line {number}: not JSON: {error}") from None
            if not isinstance(found[-1], dict):
                raise ValueError(f"{path}: line {number} is not an object with an image and its texts")
    return found


def _text_columns(path: Path, names: Sequence[str], image: int, separator: str | None) -> list[int]:
    """Return the columns of texts: those with a usual name, else those that are texts by their cells."""
    usual = [at for at, name in enumerate(names) if at != image and _roles.plain(name) in NAMES]
    if usual:
        return usual
    known = (*_roles.IMAGES, *_roles.METADATA, *_roles.LABELS)
    others = [at for at, name in enumerate(names) if at != image and _roles.plain(name) not in known]
    others = [at for at in others if names[at] not in _columns.nested(path)][: _image_column.MOST_COLUMNS]
    heads = _columns.head(path, others, names, separator) if others else []
    found = [at for at, cells in zip(others, heads, strict=True) if are_texts(cells)]
    if not found:
        raise _no_texts(path, [name for at, name in enumerate(names) if at != image])
    return found


def _no_texts(path: Path, names: Sequence[str]) -> ValueError:
    return ValueError(
        f"{path}: no column is named caption, text, title or description; there are: {some(map(repr, names))}. Name "
        f"the column of texts as in {path.name}:NAME"
    )


def _cells(path: Path, at: Sequence[int], names: Sequence[str], separator: str | None) -> list[list[str]]:
    """Return the cells of columns; a list of texts in a cell of a parquet file becomes lines."""
    nested = _columns.nested(path)
    plain = [each for each in at if names[each] not in nested]
    found = dict(
        zip(plain, map(_columns.strings, _columns.columns(path, plain, names, separator)), strict=True)
    )
    lists = [each for each in at if each not in found]
    if lists:
        columns = _columns.guarded(path, lambda: pl.read_parquet(path, columns=lists).get_columns())
        found |= {
            each: ["\n".join(strings_in(cell)) for cell in column.to_list()]
            for each, column in zip(lists, columns, strict=True)
        }
    return [found[each] for each in at]


def _separator(path: Path) -> str | None:
    """Return the separator of a CSV whose first line has no comma; None for the usual one of its suffix."""
    if _columns.is_parquet(path) or len(_columns.header(path)) > 1:
        return None
    name = _columns.header(path)[0]
    try:
        counts = {mark: len(next(csv.reader([name], delimiter=mark))) for mark in _SEPARATORS}
    except csv.Error:
        return None
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] > 1 else None
