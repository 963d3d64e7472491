"""Where each known label of a table comes from, if anybody kept it: a code a cell, and what the codes stand for.

Names are free: `human`, `<model>@<run>` (what `fill` writes), `open_images:machine`, `label_studio:prediction`. On disk
they are the columns `<class>:source` of a wide table, as a filled table has them. A table that nobody asked of where it
comes from has no `Origins` at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

NOT_MENTIONED = "not mentioned"
"""Of a label that is absent by the rule `absent="negative"` alone."""
HUMAN = "human"
MOST = 255


@dataclass(frozen=True, eq=False)
class Origins:
    """Where labels come from.

    Attributes:
        codes: uint8, (image, class): indices into `names`; read-only.
        names: Unique; the first is empty, for labels of which it is not known, and for blanks.

    Raises:
        ValueError: Codes are not uint8, or stand for no name; names are not unique, or too many.
    """

    codes: np.ndarray
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.names[:1] != ("",) or len(set(self.names)) != len(self.names):
            raise ValueError(f"names of origins are unique, and the first is empty; these are {self.names}")
        if len(self.names) > MOST + 1:
            raise ValueError(f"labels come from {len(self.names) - 1} origins; a table tells {MOST} apart")
        if self.codes.dtype != np.uint8 or self.codes.max(initial=0) >= len(self.names):
            raise ValueError(f"codes of origins are uint8 below {len(self.names)}, the number of names")
        codes = self.codes
        if codes.flags.writeable or codes.base is not None or not codes.flags.c_contiguous:
            codes = np.array(codes, order="C")
            codes.flags.writeable = False
            object.__setattr__(self, "codes", codes)

    def of(self, row: int, column: int) -> str:
        """Where a label comes from; empty if that is not known."""
        return self.names[self.codes[row, column]]

    def only(self, cells: Bool[np.ndarray, "image class"]) -> "Origins":
        """These, and nothing for other cells."""
        return Origins(np.where(cells, self.codes, np.uint8(0)), self.names)

    def rows(self, rows: np.ndarray) -> "Origins":
        """Those of some images."""
        return Origins(self.codes[rows], self.names)

    def columns(self, columns: Sequence[int]) -> "Origins":
        """Those of some classes."""
        return Origins(self.codes[:, list(columns)], self.names)

    @classmethod
    def of_numbers(cls, numbers: np.ndarray, names: Sequence[str]) -> "Origins":
        """From wider numbers; names that stand for nothing are left out."""
        there = np.array([not number or bool((numbers == number).any()) for number in range(len(names))])
        kept = tuple(name for name, is_there in zip(names, there, strict=True) if is_there)
        if len(kept) > MOST + 1:
            raise ValueError(f"labels come from {len(kept) - 1} origins; a table tells {MOST} apart")
        return cls((np.cumsum(there) - 1).astype(np.uint8)[numbers], kept)


def is_persons(name: str) -> bool:
    """Whether people said what comes from there; of what has no origin nobody says otherwise."""
    return name in ("", HUMAN) or name.startswith("review:") or name.endswith((":human", ":submitted"))
