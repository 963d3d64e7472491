"""What is known of the classes before training: their names, a vector for each, and which come together."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Classes:
    """The classes a model tells apart.

    Attributes:
        names: In the order of the columns of every table and every output.
        vectors: One vector per class, from `data/words.py`; None where a method is to learn them.
        graph: P(column class present | row class present) among the known labels, from `data/statistics.py`.
        prevalence: P(class present) as known labels say, from `data/statistics.py`.
    """

    names: tuple[str, ...]
    vectors: Float[Tensor, "class word"] | None = None
    graph: Float[Tensor, "class class"] | None = None
    prevalence: Float[Tensor, " class"] | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def graph_or_identity(self) -> Float[Tensor, "class class"]:
        """The graph; where there is none, every class comes with itself alone."""
        return torch.eye(len(self)) if self.graph is None else self.graph

    @property
    def prior_logits(self) -> Float[Tensor, " class"]:
        """The logit of each class that says its prevalence; 0 where that is not known."""
        return torch.zeros(len(self)) if self.prevalence is None else self.prevalence.float().logit(1e-3)
