"""The three values of a label, and what a loss is asked to fit.

A *class* is a column of the label table; a *label* is one cell of it. In memory a label is an int8:

========  ==  =========================================
PRESENT    1  somebody saw it in the image
ABSENT     0  somebody looked, and it is not there
UNKNOWN   -1  nobody said
========  ==  =========================================

Readers convert other conventions (the authors' 1 / -1 / 0, NaN, "not mentioned"); nothing else does.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int8
from torch import Tensor

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN

__all__ = ["ABSENT", "PRESENT", "UNKNOWN", "Labels", "Targets"]

Labels = Int8[Tensor, "batch class"]


class Targets(NamedTuple):
    """What a loss fits: a value in [0, 1] for every label, and how much it counts.

    Weight 0 says nothing, so losses never hear of "unknown". Known labels, hard, soft, blended and re-weighted
    pseudo-labels are all Targets.
    """

    value: Float[Tensor, "*shape"]
    weight: Float[Tensor, "*shape"]

    @classmethod
    def known(cls, labels: Int8[Tensor, "*shape"]) -> "Targets":
        """The known labels with weight 1, the unknown ones with weight 0."""
        return cls((labels == PRESENT).float(), (labels != UNKNOWN).float())

    @classmethod
    def present(cls, where: Bool[Tensor, "*shape"]) -> "Targets":
        """PRESENT with weight 1 at `where`, nothing elsewhere."""
        return cls(where.float(), where.float())

    def fill(self, other: "Targets") -> "Targets":
        """These targets, and `other` wherever these say nothing."""
        silent = self.weight == 0
        return Targets(
            torch.where(silent, other.value, self.value), torch.where(silent, other.weight, self.weight)
        )
