"""A budget of random and asked labels: a share of the questions is a random sample, the others take turns.

The random share is what probabilities are calibrated on (`priors/from_drawn_labels.py`), because it was not selected by
the model.
"""

import numpy as np

from partlabel.review.ordering import TURN, Blank, Key, in_turns
from partlabel.review.orders._base import Knowledge, Order, Plan


class Mixed(Order):
    """Random labels and turns of the classes in a fixed proportion.

    Args:
        share: Share of random labels among the first ones, in (0, 1).
        turn: Number of labels of a class per turn.
    """

    title = "Part random, part asked"

    def __init__(self, share: float = 0.25, turn: int = TURN) -> None:
        self.share, self.turn = share, turn

    def key(self, given: Knowledge) -> Key:
        """Compute the smaller of the two places, each divided by its share of the questions."""
        return self.plan(given).key

    def drawn(self, given: Knowledge) -> Blank:
        """Select the labels whose place in the random order comes first."""
        return self.plan(given).drawn

    def plan(self, given: Knowledge) -> Plan:
        """Compute keys, and which labels are drawn, from the places in the random order and in the turns."""
        random = np.random.default_rng(given.seed).random(given.probability.shape)
        turns = in_turns(given.probability, given.blank, self.turn)
        by_chance = _places(random, given.blank) / self.share
        by_turn = _places(turns, given.blank) / (1 - self.share)
        return Plan(np.minimum(by_chance, by_turn), given.blank & (by_chance < by_turn))


def _places(key: Key, blank: np.ndarray) -> Key:
    """Return the place of every label that may be asked in the order of its key, from 1."""
    flat = np.where(blank, key, np.inf).ravel()
    places = np.empty(flat.size)
    places[np.argsort(flat, kind="stable")] = np.arange(1, flat.size + 1)
    return places.reshape(key.shape)
