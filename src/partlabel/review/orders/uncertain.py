"""Uncertainty sampling: where the model is least certain first (Lewis and Gale, SIGIR 1994)."""

import numpy as np

from partlabel.review.ordering import Key
from partlabel.review.orders._base import Knowledge, Order


class Uncertain(Order):
    """Probabilities nearest to one half first."""

    title = "Least certain"
    of_itself = True

    def key(self, given: Knowledge) -> Key:
        """Compute the distance of each probability to one half."""
        return np.abs(given.probability - 0.5)
