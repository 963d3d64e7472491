"""Wide CSV, TSV and parquet: one row an image, one column a class; 1 / 0 / blank, true / false, NaN.

The format `LabelTable.save` writes. A filled table (`FilledTable.save`) is read too: its `<class>:p` and
`<class>:source` columns are left out, so filled labels become known ones.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from partlabel.codes import ABSENT, PRESENT, UNKNOWN
from partlabel.data.checks import COMPANIONS
from partlabel.data.readers import _columns
from partlabel.data.readers._build import build
from partlabel.data.table import Absent, LabelTable
from partlabel.text import some

_CODES = {"1": PRESENT, "1.0": PRESENT, "true": PRESENT, "0": ABSENT, "0.0": ABSENT, "false": ABSENT}
_CODES |= dict.fromkeys(("", "nan", "na", "null"), UNKNOWN)
_WRONG = -128


def recognises(path: Path) -> bool:
    """A CSV, TSV or parquet file whose `labels` column, if there is one, holds codes and not class names."""
    if not path.is_file() or path.suffix not in _columns.TABLES:
        return False
    names = _columns.header(path)
    if "labels" not in names:
        return True
    column = _columns.columns(path, [names.index("labels")], names)[0]
    return not pa.types.is_nested(column.type) and bool((codes(column) != _WRONG).all())


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    image_column: str | None = None,
    separator: str | None = None,
) -> LabelTable:
    """Read a wide table.

    Args:
        path: `.csv`, `.tsv` or `.parquet`. The image column is called `image`, `path`, `file` or `filename`; a column
            `split` is the split; every other column is a class.
        images: The image folder; without it, paths start from the folder of the file.
        absent: `negative` makes every blank ABSENT. Blanks are UNKNOWN otherwise: the format can say both.
        image_column: The image column, where its name is another.
        separator: Between cells; a comma, in `.tsv` a tab.

    Raises:
        ValueError: A cell is none of the codes; the message names row, image, class and what is there.
    """
    names = _columns.header(path, separator)
    at = _columns.image_column(path, names, image_column)
    of_classes = [
        position for position in range(len(names)) if position != at and not _is_aside(names, position)
    ]
    in_split = [names.index("split")] if "split" in names else []
    found = _columns.columns(path, [at, *in_split, *of_classes], names, separator)
    listed = _columns.strings(found[0])
    split = _columns.strings(found[1]) if in_split else None
    classes = [names[position] for position in of_classes]
    labels = np.empty((len(listed), len(classes)), np.int8, order="F")
    for position, column in enumerate(found[1 + len(in_split) :]):
        labels[:, position] = codes(column)
        _refuse_unknown_codes(path, listed, classes[position], column, labels[:, position])
    return build(path, listed, classes, labels, absent=absent, split=split, root=images or path.parent)


def codes(column: Any) -> np.ndarray:
    """A column of an arrow table as int8 codes; -128 for what is no code."""
    if pa.types.is_boolean(column.type):
        return pc.fill_null(column.cast(pa.int8()), UNKNOWN).to_numpy()
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).fill_null("").dictionary_encode()
    parts = [_codes_of(chunk) for chunk in column.chunks]
    return np.concatenate(parts) if parts else np.empty(0, np.int8)


def _codes_of(chunk: Any) -> np.ndarray:
    words = [word if word is None else word.strip().lower() for word in chunk.dictionary.to_pylist()]
    meaning = np.array([_CODES.get(word or "", _WRONG) for word in words] + [UNKNOWN], np.int8)
    return meaning[chunk.indices.fill_null(len(words)).to_numpy()]


def _is_aside(names: Sequence[str], position: int) -> bool:
    """Whether a column is no class: the split, or the companion of a class in a filled table."""
    name = names[position]
    stem, colon, _ = name.rpartition(":")
    return name == "split" or (name.endswith(COMPANIONS) and bool(colon) and stem in names)


def _refuse_unknown_codes(
    path: Path, images: Sequence[str], name: str, column: Any, labels: np.ndarray
) -> None:
    wrong = np.flatnonzero(labels == _WRONG)
    if len(wrong):
        cells = some(
            (f"row {row + 1} ({images[row]}): {str(column[row])!r}" for row in wrong.tolist()), most=3
        )
        raise ValueError(
            f"{path}: class {name!r} has {len(wrong)} cell(s) that are no label: {cells}. Write 1 (present), "
            "0 (absent) or nothing (unknown); true, false and NaN do too"
            + (
                ". -1 means absent to some and unknown to others, so it is not guessed"
                if "-1" in cells
                else ""
            )
        )
