"""The classes take turns, the most probable labels of each first: the same question about many photos."""

from partlabel.review.ordering import TURN, Key, in_turns
from partlabel.review.orders._base import Knowledge, Order


class Class(Order):
    """Turns of the classes, the most probable labels of each first.

    Args:
        turn: Number of labels of a class per turn.
    """

    title = "Class by class"

    def __init__(self, turn: int = TURN) -> None:
        self.turn = turn

    def key(self, given: Knowledge) -> Key:
        """Compute turn and place in it."""
        return in_turns(given.probability, given.blank, self.turn)
