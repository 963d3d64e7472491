"""A budget of random and asked labels: a share of the questions is a random sample, the others take turns.

The random share is what probabilities are calibrated on (`priors/from_drawn_labels.py`), because it was not selected by
the model.
"""

import numpy as np

from partlabel.review.ordering import TURN, Blank, Key, in_turns
from partlabel.review.orders._base import Knowledge, Order


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
        return np.minimum(*self._places(given))

    def drawn(self, given: Knowledge) -> Blank:
        """Select the labels whose place in the random order comes first."""
        random, turns = self._places(given)
        return given.blank & (random < turns)

    def _places(self, given: Knowledge) -> tuple[Key, Key]:
        """Return the places in the random order and in the turns, each divided by its share of the questions."""
        random = np.random.default_rng(given.seed).random(given.probability.shape)
        turns = in_turns(given.probability, given.blank, self.turn)
        return _places(random, given.blank) / self.share, _places(turns, given.blank) / (1 - self.share)


def _places(key: Key, blank: np.ndarray) -> Key:
    """Return the place of every label that may be asked in the order of its key, from 1."""
    flat = np.where(blank, key, np.inf).ravel()
    places = np.empty(flat.size)
    places[np.argsort(flat, kind="stable")] = np.arange(1, flat.size + 1)
    return places.reshape(key.shape)
