"""Targets: what a loss fits."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int8
from torch import Tensor

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN

__all__ = ["ABSENT", "PRESENT", "UNKNOWN", "Labels", "Targets"]

Labels = Int8[Tensor, "batch class"]


class Targets(NamedTuple):
    """A value in [0, 1] and a weight for every label.

    Labels of weight 0 are ignored, so losses do not handle "unknown". Known labels, hard, soft, blended and re-weighted
    pseudo-labels are all Targets.
    """

    value: Float[Tensor, "*shape"]
    weight: Float[Tensor, "*shape"]

    @classmethod
    def known(cls, labels: Int8[Tensor, "*shape"]) -> "Targets":
        """Give known labels weight 1 and unknown ones weight 0."""
        return cls((labels == PRESENT).float(), (labels != UNKNOWN).float())

    @classmethod
    def present(cls, where: Bool[Tensor, "*shape"]) -> "Targets":
        """Set labels at `where` to PRESENT with weight 1; all others have weight 0."""
        return cls(where.float(), where.float())

    def fill(self, other: "Targets") -> "Targets":
        """Take `other` wherever the weight of these targets is 0."""
        silent = self.weight == 0
        return Targets(
            torch.where(silent, other.value, self.value), torch.where(silent, other.weight, self.weight)
        )
