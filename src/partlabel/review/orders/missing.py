"""Turns of the classes in proportion to what they lack: rare classes are asked about more."""

import numpy as np
from jaxtyping import Int64

from partlabel.core.labels import PRESENT
from partlabel.review.ordering import Key, ranks
from partlabel.review.orders._base import Knowledge, Order


class Missing(Order):
    """The most probable labels of each class, more of those classes that lack more present labels.

    Args:
        goal: Number of present labels that each class should have; a class lacks the difference to it, at least 1.
    """

    title = "What is missing"
    follows = True

    def __init__(self, goal: int = 100) -> None:
        self.goal = goal

    def key(self, given: Knowledge) -> Key:
        """Divide the rank of a label within its class by what the class lacks."""
        return (ranks(-given.probability, given.blank) + 1.0) / self.lacks(given)

    def lacks(self, given: Knowledge) -> Int64[np.ndarray, " class"]:
        """Count the present labels that each class lacks."""
        return np.maximum(self.goal - (given.labels == PRESENT).sum(axis=0), 1)
