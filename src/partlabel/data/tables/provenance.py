"""The source of each known label of a table, where it was recorded: one code per cell, and the names of the codes.

Names are free: `human`, `<model>@<run>` (written by `fill`), `rule:implies` (`closure.py`), `review:<who>` and
`review-at-random:<who>` (`review/merging.py`), `open_images:machine`, `label_studio:prediction`. On disk they are the
columns `<class>:source` of a wide table, as in a filled table. A table without recorded sources has no `Origins`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

NOT_MENTIONED = "not mentioned"
"""Source of a label that is absent only by the rule `absent="negative"`."""
HUMAN = "human"
RULE = "rule:"
"""Beginning of the sources of labels that follow from rules between classes (`closure.py`)."""
ASKED = "review:"
"""Beginning of the sources of labels that a person answered in a review, whose order of questions chose them."""
DRAWN = "review-at-random:"
"""Beginning of the sources of labels that a review drew at random among its unknown ones, and a person answered."""
MOST = 255


@dataclass(frozen=True, eq=False)
class Origins:
    """Sources of labels.

    Attributes:
        codes: uint8 [image, class]: indices into `names`; read-only.
        names: Unique names; the first is empty, for labels without a recorded source and for unknown ones.

    Raises:
        ValueError: Codes are not uint8 or have no name; names are not unique, or too many.
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
        """Return the source of a label; empty if it was not recorded."""
        return self.names[self.codes[row, column]]

    def only(self, cells: Bool[np.ndarray, "image class"]) -> "Origins":
        """Keep the sources of some cells, and none of the others."""
        return Origins(np.where(cells, self.codes, np.uint8(0)), self.names)

    def rows(self, rows: np.ndarray) -> "Origins":
        """Select images."""
        return Origins(self.codes[rows], self.names)

    def columns(self, columns: Sequence[int]) -> "Origins":
        """Select classes."""
        return Origins(self.codes[:, list(columns)], self.names)

    def without_draws(self, columns: Sequence[int]) -> "Origins":
        """Turn drawn labels of some classes into asked ones: after a change of the class they are no random sample."""
        asked = [ASKED + name.removeprefix(DRAWN) if is_drawn(name) else name for name in self.names]
        names = list(dict.fromkeys([*self.names, *asked]))
        numbers = self.codes.astype(np.int64)
        renamed = np.array([names.index(name) for name in asked])
        numbers[:, list(columns)] = renamed[numbers[:, list(columns)]]
        return Origins.of_numbers(numbers, names)

    @classmethod
    def of_numbers(cls, numbers: np.ndarray, names: Sequence[str]) -> "Origins":
        """Build from wider codes, without names that are not used."""
        there = np.array([not number or bool((numbers == number).any()) for number in range(len(names))])
        kept = tuple(name for name, is_there in zip(names, there, strict=True) if is_there)
        if len(kept) > MOST + 1:
            raise ValueError(f"labels come from {len(kept) - 1} origins; a table tells {MOST} apart")
        return cls((np.cumsum(there) - 1).astype(np.uint8)[numbers], kept)


def is_persons(name: str) -> bool:
    """Return whether labels of a source were set by people; labels without a recorded source count as such."""
    return name in ("", HUMAN) or is_asked(name) or name.endswith((":human", ":submitted"))


def is_asked(name: str) -> bool:
    """Return whether labels of a source were answered in a review, whether chosen by the order or drawn at random."""
    return name.startswith((ASKED, DRAWN))


def is_drawn(name: str) -> bool:
    """Return whether labels of a source were drawn at random by a review, and answered."""
    return name.startswith(DRAWN)


def is_rules(name: str) -> bool:
    """Return whether labels of a source follow from rules between classes."""
    return name.startswith(RULE)
