"""How often probabilities break rules between classes."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from partlabel.core.column_rules import ColumnRules

TOLERANCE = 1e-5
"""Difference that is a rounding error."""


class Violations(NamedTuple):
    """Number of times that an image's probabilities break a rule.

    Attributes:
        implies: Pairs of classes, of which the implied one is less probable.
        excludes: Lists of classes that exclude each other, with a sum above 1.
        one_of: Lists of which one class is present, with a sum that is not 1.
        images: Images with at least one of them.
        of: Number of images.
    """

    implies: int
    excludes: int
    one_of: int
    images: int
    of: int

    @property
    def total(self) -> int:
        """Number of all violations."""
        return self.implies + self.excludes + self.one_of

    @property
    def sentence(self) -> str:
        """The numbers in one sentence."""
        return (
            f"{self.total:,} violations of rules ({self.implies:,} of implies, {self.excludes:,} of excludes, "
            f"{self.one_of:,} of one_of) in {self.images:,} of {self.of:,} images"
        )


def count_violations(probability: Float[np.ndarray, "image class"], rules: ColumnRules) -> Violations:
    """Count the violations of rules by probabilities.

    Args:
        probability: Probabilities in [0, 1], in the order of the columns of the rules.
        rules: Rules for these columns.
    """
    broken: dict[str, list[Bool[np.ndarray, " image"]]] = {"implies": [], "excludes": [], "one_of": []}
    for child, parent in np.argwhere(rules.implied & ~np.eye(len(rules.columns), dtype=bool)):
        broken["implies"].append(probability[:, child] > probability[:, parent] + TOLERANCE)
    for kind in ("excludes", "one_of"):
        for names in rules.groups(kind):
            sums = probability[:, list(names)].astype(np.float64).sum(1)
            broken[kind].append((sums > 1 + TOLERANCE) | ((kind == "one_of") & (sums < 1 - TOLERANCE)))
    counts = {kind: int(sum(each.sum() for each in found)) for kind, found in broken.items()}
    some = np.zeros(len(probability), bool)
    for found in broken.values():
        for each in found:
            some |= each
    return Violations(**counts, images=int(some.sum()), of=len(probability))
