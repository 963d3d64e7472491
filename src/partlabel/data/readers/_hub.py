"""Columns of a parquet file of the Hugging Face hub: images, labels or classes, and the names of class ids."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from partlabel.core.fixes import InputError, ReaderArgument
from partlabel.core.messages import some
from partlabel.data.readers import _columns, _roles
from partlabel.data.readers._cells import Names, Reading, looks_multi_hot
from partlabel.data.readers._codes import MinusOne
from partlabel.data.readers._text_columns import NAMES

Coding = Literal["ids", "multi_hot"]


class Options(NamedTuple):
    """Column options of `read`."""

    image: str | None
    labels: str | None
    absent: str | None
    coding: Coding | None
    classes: Sequence[str] | None
    leave_out: Sequence[str]
    minus_one: MinusOne | None


class Layout(NamedTuple):
    """Roles of a file's columns, and the names of class ids.

    Attributes:
        image: Column of images.
        labels: Column of labels; None if each class is a column.
        absent: Column of absent labels, if there is one.
        coding: Meaning of lists of numbers; `columns` if each class is a column.
        names: Names of the class ids, or of the class columns.
        minus_one: Meaning of -1 in a class column.
        left_out: Columns that are not classes.
        texts: Class names in each distinct text cell.
        captions: Columns of texts about the images.
    """

    image: str
    labels: str | None
    absent: str | None
    coding: Coding | Literal["columns"]
    names: list[str] | None
    minus_one: MinusOne | None = None
    left_out: Sequence[str] = ()
    texts: Mapping[str, Names] = MappingProxyType({})
    captions: Sequence[str] = ()

    @classmethod
    def of(cls, file: Path, options: Options) -> "Layout":
        there = _columns.header(file)
        image = _image_column(file, there, options.image)
        absent = None if options.absent is None else there[_columns.column_at(file, there, options.absent)]
        if options.labels is not None:
            labels: str | None = there[_columns.column_at(file, there, options.labels)]
        else:
            labels = next(
                (name for usual in _roles.LABELS for name in there if _roles.plain(name) == usual), None
            )
        if labels is None:
            names = _class_columns(file, [image, *options.leave_out])
            captions = _captions(file, [image, absent, *names, *options.leave_out])
            return cls(
                image, None, absent, "columns", names, options.minus_one, options.leave_out, captions=captions
            )
        own = _class_names(file, labels) or (None if options.classes is None else list(options.classes))
        texts = _names_of_texts(file, [labels, *([absent] if absent else [])], options.classes)
        coding = options.coding or _coding(file, labels, own)
        captions = _captions(file, [image, labels, absent, *options.leave_out])
        return cls(image, labels, absent, coding, own, texts=texts, captions=captions)

    @property
    def columns(self) -> list[str]:
        """All columns that are read."""
        labels = (self.names or []) if self.labels is None else [self.labels]
        return [self.image, *labels, *([self.absent] if self.absent else []), *self.captions]


def _captions(file: Path, but: Collection[str | None]) -> list[str]:
    """Return the columns of texts about the images: strings, or lists, with a usual name."""
    schema = pq.read_schema(file)
    return [
        name.strip()
        for name, kind in zip(schema.names, schema.types, strict=True)
        if _roles.plain(name) in NAMES
        and name.strip() not in but
        and (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_list(kind))
    ]


def _image_column(file: Path, there: Sequence[str], wanted: str | None) -> str:
    """Return the requested column, the one that contains image files, or the first with a usual name."""
    if wanted is not None:
        return there[_columns.column_at(file, there, wanted)]
    nested = _columns.nested(file)
    inside = [name for name, has_images in nested.items() if has_images]
    usual = [name for usual in _roles.IMAGES for name in there if _roles.plain(name) == usual]
    found = [name for name in usual if name in inside] or inside or usual
    if not found:
        raise InputError(
            f"{file}: no column of images: none is named image, img, path or file_name; there are: "
            f"{some(map(repr, there))}. Select one with ",
            ReaderArgument("image_column", placeholder="NAME"),
        )
    return found[0]


def _class_columns(file: Path, left_out: Sequence[str]) -> list[str]:
    """Return the columns of numbers and booleans, each of which is a class."""
    schema = pq.read_schema(file)
    nested = _columns.nested(file)
    names = [
        name.strip()
        for name, kind in zip(schema.names, schema.types, strict=True)
        if (pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind))
        and name.strip() not in (*left_out, *nested, "split")
    ]
    if not names:
        raise InputError(
            f"{file}: no column of labels: none is named labels, label or tags, and none has a 1 or 0 for a class; "
            f"there are: {some(map(repr, _columns.header(file)))}. Select one with ",
            ReaderArgument("labels_column", placeholder="NAME"),
        )
    return names


def _coding(file: Path, column: str, names: Sequence[str] | None) -> Coding:
    """Detect the meaning of lists of numbers: class ids, or multi-hot vectors if that is certain.

    Raises:
        ValueError: They may be either.
    """
    (column,) = written_names(file, [column])
    kind = pq.read_schema(file).field(column).type
    if not pa.types.is_nested(kind) or pa.types.is_struct(kind) or pa.types.is_map(kind):
        return "ids"
    if not (pa.types.is_integer(kind.value_type) or pa.types.is_boolean(kind.value_type)):
        return "ids"
    lists = [
        each for each in pq.read_table(file, columns=[column]).column(column).to_pylist() if each is not None
    ]
    if not looks_multi_hot(lists):
        return "ids"
    length = len(lists[0])
    if (names is not None and len(names) == length and length > 2) or pa.types.is_boolean(kind.value_type):
        return "multi_hot"
    raise InputError(
        f"{file}: column {column!r}: all lists, such as {lists[0]}, are {length} zeros and ones. If that is a number "
        "for each class, give ",
        ReaderArgument("coding", "multi_hot"),
        " and ",
        ReaderArgument("classes", placeholder="'[...]'"),
        "; if they are the numbers of classes, ",
        ReaderArgument("coding", "ids"),
    )


def _names_of_texts(file: Path, columns: Sequence[str], classes: Sequence[str] | None) -> dict[str, Names]:
    """Find the class names in each distinct cell of text columns; empty if cells are lists or numbers."""
    found: dict[str, Names] = {}
    for name, written in zip(columns, written_names(file, columns), strict=True):
        column = pq.read_table(file, columns=[written]).column(written)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            cells = [cell for cell in column.unique().to_pylist() if cell is not None]
            found |= Reading(file, name, _place, classes).names_of(cells)
    return found


def _place(cell: str) -> str:
    return f"cell {cell!r}"


def _class_names(file: Path, column: str) -> list[str] | None:
    """Return the names of a column's class ids, which the datasets library stores in the file's metadata."""
    kept = (pq.read_schema(file).metadata or {}).get(b"huggingface")
    if kept is None:
        return None
    feature = json.loads(kept).get("info", {}).get("features", {}).get(column)
    while isinstance(feature, (dict, list)):
        if isinstance(feature, dict) and isinstance(feature.get("names"), list):
            return [str(name).strip() for name in feature["names"]]
        feature = feature[0] if isinstance(feature, list) and feature else dict(feature or {}).get("feature")
    return None


def written_names(file: Path, names: Sequence[str]) -> list[str]:
    """Return column names as written in the file, possibly with surrounding spaces."""
    written = {name.strip(): name for name in pq.read_schema(file).names}
    return [written[name] for name in names]
