"""Labels in the cells of a wide table: 1, 0 or blank in their spellings, as codes."""

from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.readers._cells import NULLS

MinusOne = Literal["unknown", "absent"]
WRONG = -128
"""Stands for a cell that is no label."""
_CODES = {"1": PRESENT, "1.0": PRESENT, "true": PRESENT, "0": ABSENT, "0.0": ABSENT, "false": ABSENT}
_CODES |= dict.fromkeys(("", *NULLS), UNKNOWN)
MINUS_ONE = ("-1", "-1.0")
_USUAL = pa.array([*_CODES, *MINUS_ONE])
_MEANING = {
    rule: np.array([*_CODES.values(), code, code, WRONG], np.int8)
    for rule, code in ((None, WRONG), ("unknown", UNKNOWN), ("absent", ABSENT))
}


def codes(column: Any, minus_one: MinusOne | None = None) -> np.ndarray:
    """A column of an arrow table as int8 codes; WRONG for what is no code.

    Args:
        column: As `_columns.blocks` has it.
        minus_one: What -1 means; no code if None.
    """
    if pa.types.is_boolean(column.type):
        return pc.fill_null(column.cast(pa.int8()), UNKNOWN).to_numpy()
    words = column.cast(pa.string()).fill_null("")
    places = pc.index_in(words, value_set=_USUAL)
    if places.null_count:
        words = pc.utf8_lower(pc.utf8_trim_whitespace(words))
        places = pc.index_in(words, value_set=_USUAL).fill_null(len(_USUAL))
    return _MEANING[minus_one][places.to_numpy()]
