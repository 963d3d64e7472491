"""Cells of wide tables as label codes: 1 / 0 / empty, true / false, words for a missing value."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.readers._cells import NULLS

MinusOne = Literal["unknown", "absent"]
WRONG = -128
"""Code of a cell that is not a label."""
MINUS_ONE = ("-1", "-1.0")
_CODES = {"1": PRESENT, "1.0": PRESENT, "true": PRESENT, "0": ABSENT, "0.0": ABSENT, "false": ABSENT}
_CODES |= dict.fromkeys(("", *NULLS), UNKNOWN)
_USUAL = pa.array([*_CODES, *MINUS_ONE])
_MEANING = {
    rule: np.array([*_CODES.values(), code, code, WRONG], np.int8)
    for rule, code in ((None, WRONG), ("unknown", UNKNOWN), ("absent", ABSENT))
}
_AT_ONCE = 1 << 20  # cells that are looked up together


def codes(column: Any, minus_one: MinusOne | None = None) -> Int8[np.ndarray, " row"]:
    """Convert a column of an arrow table to int8 codes; WRONG for a cell that is not a code.

    Args:
        column: Column, as `_columns.blocks` returns it.
        minus_one: Meaning of -1; not a code if None.
    """
    if pa.types.is_boolean(column.type):
        return pc.fill_null(column.cast(pa.int8()), UNKNOWN).to_numpy()
    words = column.cast(pa.string()).fill_null("")
    places = pc.index_in(words, value_set=_USUAL)
    if places.null_count:
        words = pc.utf8_lower(pc.utf8_trim_whitespace(words))
        places = pc.index_in(words, value_set=_USUAL).fill_null(len(_USUAL))
    return _MEANING[minus_one][places.to_numpy()]


def codes_of(columns: Sequence[Any], minus_one: MinusOne | None = None) -> Int8[np.ndarray, "column row"]:
    """Convert the columns of a block to int8 codes; see `codes`.

    Columns of few rows are looked up together, because arrow's cost per call exceeds that of their cells.

    Args:
        columns: Columns of one length, as `_columns.blocks` returns them.
        minus_one: Meaning of -1; not a code if None.
    """
    rows = len(columns[0]) if columns else 0
    found = np.empty((len(columns), rows), np.int8)
    width = max(1, _AT_ONCE // max(rows, 1))
    for start in range(0, len(columns), width):
        part = columns[start : start + width]
        if all(column.type == part[0].type for column in part):
            found[start : start + width] = codes(pa.concat_arrays(part), minus_one).reshape(len(part), rows)
        else:
            found[start : start + width] = [codes(column, minus_one) for column in part]
    return found
