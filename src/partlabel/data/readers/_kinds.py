"""Detection of a table's reader by its header and the first cells of its columns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from partlabel.core.fixes import Argument, InputError, ReaderArgument
from partlabel.core.messages import some
from partlabel.data.readers import _columns, _image_column, _roles
from partlabel.data.readers._cells import is_null
from partlabel.data.readers._text_columns import text_columns

_CODES = {"", "0", "1", "0.0", "1.0", "true", "false", "True", "False", "TRUE", "FALSE"}

TableFormat = Literal["wide_csv", "long_csv", "hugging_face", "open_images", "label_studio_csv"]


def kind(path: Path, separator: str | None = None) -> TableFormat | None:
    """Return the reader of a table; None if the file is not a table.

    Raises:
        ValueError: Several readers fit, or the meaning of its numbers is ambiguous; the message gives the options.
    """
    if not _columns.is_table(path):
        return None
    if _columns.is_open_images(path):
        return "open_images"
    nested = _columns.nested(path)
    if any(nested.values()) or any(_roles.plain(name) in _roles.LABELS for name in nested):
        return "hugging_face"
    names = _columns.header(path, separator)
    if {"annotation_id", "annotator", "lead_time"} <= {*names}:
        return "label_studio_csv"
    words = _roles.word_columns(path, names, separator)
    others = _other_columns(names)
    texts = text_columns(path, names, others, separator)
    others = [at for at in others if at not in texts]
    if words:
        _refuse_both(path, words, others, names, separator)
        return "long_csv"
    return _of_codes(path, names, others, separator)


def _other_columns(names: Sequence[str]) -> list[int]:
    """Return the columns that may be classes, by name."""
    no_classes = (*_roles.IMAGES, *_roles.METADATA, "absent")
    return [
        at
        for at, name in enumerate(names)
        if _roles.plain(name) not in no_classes
        and _roles.plain(name) not in _roles.LABELS
        and name
        and not name.startswith("Unnamed:")
    ]


def _refuse_both(
    path: Path, words: Sequence[int], others: Sequence[int], names: Sequence[str], separator: str | None
) -> None:
    """Refuse a table with a column of class names and columns of 1 and 0, because one of the two would be ignored."""
    others = [at for at in others if at not in words][: _image_column.MOST_COLUMNS]
    heads = _columns.head(path, others, names, separator) if others else []
    codes = [at for at, cells in zip(others, heads, strict=True) if any(cells) and set(cells) <= _CODES]
    if codes:
        listed = names[words[0]]
        raise InputError(
            f"{path}: column {listed!r} has names, and {some(repr(names[at]) for at in codes)} have 1 and 0. If those "
            "are the classes, give ",
            ReaderArgument("leave_out", [names[at] for at in words], format="wide_csv"),
            "; if the names are, ",
            ReaderArgument("labels_column", listed, format="long_csv"),
        )


def _of_codes(path: Path, names: Sequence[str], others: Sequence[int], separator: str | None) -> TableFormat:
    """Return the reader of a table without class names; a column `label` without class columns may hold class ids.

    Raises:
        ValueError: It is ambiguous whether its 0 and 1 are labels or class ids.
    """
    labels = [at for at in _roles.label_columns(names) if not _roles.NUMBERED.fullmatch(names[at])]
    if len(labels) != 1 or others or len(names) < 2:
        return "wide_csv"
    cells = _columns.head(path, labels, names, separator)[0]
    if cells and not _columns.is_parquet(path) and all(not cell or is_null(cell) for cell in cells):
        return "long_csv"
    if cells and set(cells) <= {"0", "1"}:
        name = names[labels[0]]
        raise InputError(
            f"{path}: what do 0 and 1 in column {name!r} mean? If it is a class, and they mean absent and present: ",
            Argument("format", "wide_csv"),
            "; if they are class ids: ",
            ReaderArgument("labels_column", name, format="long_csv"),
            " and ",
            ReaderArgument("classes", placeholder="'[FIRST,SECOND]'"),
        )
    return "wide_csv"
