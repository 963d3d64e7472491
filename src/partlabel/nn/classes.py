"""Prior knowledge of the classes: names, class vectors, co-occurrence and prevalence, and the space of a tower."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from partlabel.core.column_rules import ColumnRules
from partlabel.nn.joint_space import JointSpace

LEAST_PREVALENCE = 1e-3
"""Least prevalence that a bias begins at."""


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes of a model.

    Attributes:
        names: Class names, in the order of the columns of every table and every output.
        vectors: One vector per class, from `data/class_vectors.py`; None where the method learns them.
        graph: P(column class present | row class present) among the known labels.
        prevalence: P(class present) among the known labels.
        rules: Rules between the classes; None without rules.
        joint: The space of a tower, for heads and methods that learn in it; None without a tower.
    """

    names: tuple[str, ...]
    vectors: Float[Tensor, "class word"] | None = None
    graph: Float[Tensor, "class class"] | None = None
    prevalence: Float[Tensor, " class"] | None = None
    rules: ColumnRules | None = None
    joint: JointSpace | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def graph_or_identity(self) -> Float[Tensor, "class class"]:
        """The graph; the identity where there is none."""
        return torch.eye(len(self)) if self.graph is None else self.graph

    @property
    def prior_logits(self) -> Float[Tensor, " class"]:
        """The logits of the prevalence; 0 where that is not known."""
        return (
            torch.zeros(len(self))
            if self.prevalence is None
            else self.prevalence.float().logit(LEAST_PREVALENCE)
        )
