"""Rules between classes in a review: what follows from the known labels of a photo, and probabilities that obey."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int8

from partlabel.core.column_rules import ColumnRules
from partlabel.nn.coherence import Coherence


@dataclass(frozen=True)
class RulesOfReview:
    """Rules for the columns of the table under review.

    Attributes:
        columns: The rules.
        coherence: Layer of probabilities that obey them.
    """

    columns: ColumnRules
    coherence: Coherence

    @classmethod
    def of(cls, columns: ColumnRules | None) -> "RulesOfReview | None":
        """Build them; None without rules."""
        return None if columns is None else cls(columns, Coherence(columns))

    def conclude(self, labels: Int8[np.ndarray, "image class"]) -> Int8[np.ndarray, "image class"]:
        """Return the labels with all that follows from them."""
        return self.columns.conclude(labels).labels

    def probability(
        self, found: Float[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"]
    ) -> Float[np.ndarray, "image class"]:
        """Compute probabilities that obey the rules, given the known labels."""
        known = torch.from_numpy(np.ascontiguousarray(labels))
        return self.coherence.with_known(torch.from_numpy(np.asarray(found, np.float32)), known).numpy()
