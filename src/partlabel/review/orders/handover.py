"""Turns of the classes that hand over from the most probable labels to the least certain ones.

Few present labels of a class are known at first, and the most probable labels find more. Once a class has enough, more
of the same teach less than labels near the decision boundary.
"""

import numpy as np

from partlabel.core.labels import PRESENT
from partlabel.review.ordering import TURN, Key, ranks, turns_of_ranks
from partlabel.review.orders._base import Knowledge, Order


class Handover(Order):
    """Turns of the classes: the most probable labels until a class has some that are present, then the least certain.

    Args:
        presents: Number of present labels of a class at which its turns hand over; labels not asked yet count with
            their probability.
        turn: Number of labels of a class per turn.
    """

    title = "Class by class, then doubt"
    follows = True

    def __init__(self, presents: int = 50, turn: int = TURN) -> None:
        self.presents, self.turn = presents, turn

    def key(self, given: Knowledge) -> Key:
        """Compute turn and place in it."""
        surest = np.where(given.blank, -given.probability, np.inf)
        order = np.argsort(surest, axis=0, kind="stable")
        expected = np.where(given.blank, given.probability, 0.0)
        found = np.cumsum(np.take_along_axis(expected, order, 0), axis=0) - np.take_along_axis(
            expected, order, 0
        )
        known = (given.labels == PRESENT).sum(axis=0)
        head = np.empty(given.blank.shape, bool)
        np.put_along_axis(head, order, known + found < self.presents, 0)
        doubt = np.abs(given.probability - 0.5)
        return turns_of_ranks(ranks(np.where(head, surest - 1.0, doubt), given.blank), self.turn)
