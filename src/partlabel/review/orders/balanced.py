"""Turns of the classes in proportion to what they lack, half of them probable labels and half doubtful ones.

The most probable labels find what a class lacks, as in `missing`. A model that is trained on them alone has seen few
photos near its decision boundary, which the least certain labels add.
"""

import numpy as np

from partlabel.review.ordering import Key, ranks
from partlabel.review.orders._base import Knowledge
from partlabel.review.orders.missing import Missing


class Balanced(Missing):
    """The most probable and the least certain labels of each class in turn, more of the classes that lack present ones.

    Args:
        goal: Number of present labels that each class should have; a class lacks the difference to it, at least 1.
    """

    title = "What is missing, and doubt"

    def key(self, given: Knowledge) -> Key:
        """Divide the place of a label within its class, in the better of both orders, by what the class lacks."""
        probable = ranks(-given.probability, given.blank)
        doubtful = ranks(np.abs(given.probability - 0.5), given.blank)
        return (np.minimum(2 * probable, 2 * doubtful + 1) + 1.0) / self.lacks(given)
