"""The columns of a parquet file of the Hugging Face hub: images, labels or classes, and the names of ids."""

import json
from collections.abc import Mapping, Sequence
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

Coding = Literal["ids", "multi_hot"]


class Options(NamedTuple):
    """What `read` was told of the columns."""

    image: str | None
    labels: str | None
    absent: str | None
    coding: Coding | None
    classes: Sequence[str] | None
    leave_out: Sequence[str]
    minus_one: MinusOne | None


class Layout(NamedTuple):
    """Which columns of a file are what, and the names of ids.

    Attributes:
        image: The column of images.
        labels: The column of labels; None where each class is a column.
        absent: The column of absent labels, if there is one.
        coding: What lists of numbers are; `columns` where each class is a column.
        names: The names of ids, or of the columns.
        minus_one: What -1 in a column means.
        left_out: The columns that are no classes.
        texts: The class names in each text, where a cell is one.
    """

    image: str
    labels: str | None
    absent: str | None
    coding: Coding | Literal["columns"]
    names: list[str] | None
    minus_one: MinusOne | None = None
    left_out: Sequence[str] = ()
    texts: Mapping[str, Names] = MappingProxyType({})

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
            return cls(image, None, absent, "columns", names, options.minus_one, options.leave_out)
        own = _class_names(file, labels) or (None if options.classes is None else list(options.classes))
        texts = _names_of_texts(file, [labels, *([absent] if absent else [])], options.classes)
        coding = options.coding or _coding(file, labels, own)
        return cls(image, labels, absent, coding, own, texts=texts)

    @property
    def columns(self) -> list[str]:
        """All columns that are read."""
        labels = (self.names or []) if self.labels is None else [self.labels]
        return [self.image, *labels, *([self.absent] if self.absent else [])]


def _image_column(file: Path, there: Sequence[str], wanted: str | None) -> str:
    """The column asked for, the one with images inside, or the first of a usual name."""
    if wanted is not None:
        return there[_columns.column_at(file, there, wanted)]
    nested = _columns.nested(file)
    inside = [name for name, has_images in nested.items() if has_images]
    usual = [name for usual in _roles.IMAGES for name in there if _roles.plain(name) == usual]
    found = [name for name in usual if name in inside] or inside or usual
    if not found:
        raise InputError(
            f"{file}: no column of images: none is called image, img, path or file_name; there are: "
            f"{some(map(repr, there))}. Say which with ",
            ReaderArgument("image_column", placeholder="NAME"),
        )
    return found[0]


def _class_columns(file: Path, left_out: Sequence[str]) -> list[str]:
    """The columns of numbers and booleans, each of them a class."""
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
            f"{file}: no column of labels: none is called labels, label or tags, and none has a 1 or 0 for a class; "
            f"there are: {some(map(repr, _columns.header(file)))}. Say which with ",
            ReaderArgument("labels_column", placeholder="NAME"),
        )
    return names


def _coding(file: Path, column: str, names: Sequence[str] | None) -> Coding:
    """What lists of numbers are, where nobody said: ids, or zeros and ones for every class where that is certain.

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
    """The class names in each distinct cell of columns of text; empty where cells are lists or numbers."""
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
    """The names of a column's ids, which the data set library keeps in the file's metadata."""
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
    """Names of columns as the file has them, perhaps with spaces around."""
    written = {name.strip(): name for name in pq.read_schema(file).names}
    return [written[name] for name in names]
