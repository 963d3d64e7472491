"""A random sample, to estimate how often the model is right."""

import numpy as np

from partlabel.review.ordering import Blank, Key
from partlabel.review.orders._base import Knowledge, Order


class Random(Order):
    """Labels in random order."""

    title = "Random"

    def key(self, given: Knowledge) -> Key:
        """Draw a number for each label."""
        return np.random.default_rng(given.seed).random(given.probability.shape)

    def drawn(self, given: Knowledge) -> Blank:
        """Select all labels that may be asked."""
        return given.blank
