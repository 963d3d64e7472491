"""Keys of the questions: pure functions of the model's probabilities, which the orders in `orders/` share.

A *key* is a number for every unknown label; the smallest comes first, ties in the order of the table.
"""

import numpy as np
from jaxtyping import Bool, Float, Int64

TURN = 20

Probability = Float[np.ndarray, "image class"]
Blank = Bool[np.ndarray, "image class"]
Key = Float[np.ndarray, "image class"]
Rank = Int64[np.ndarray, "image class"]


def in_turns(probability: Probability, blank: Blank, turn: int = TURN) -> Key:
    """Rank labels in turns of a fixed number per class, the most certain of each class first.

    Args:
        probability: Probabilities that the class is present.
        blank: Labels that take part.
        turn: Number of labels of a class per turn.
    """
    return turns_of_ranks(ranks(-probability, blank), turn)


def ranks(key: Key, blank: Blank) -> Rank:
    """Return the rank of every label within its class by its key, from 0; labels that may not be asked come last."""
    first = np.argsort(np.where(blank, key, np.inf), axis=0, kind="stable")
    return np.argsort(first, axis=0, kind="stable")


def turns_of_ranks(rank: Rank, turn: int) -> Key:
    """Compute keys by which the classes take turns.

    Args:
        rank: Rank of every label within its class.
        turn: Number of labels of a class per turn.
    """
    classes = rank.shape[1]
    turns, place = np.divmod(rank, turn)
    return turns * classes + np.arange(classes) + place / turn


def masked(key: Key, blank: Blank) -> Key:
    """Return the keys, infinity for labels that may not be asked."""
    return np.where(blank, key, np.inf)


def first(key: Key, askable: Blank) -> tuple[int, int] | None:
    """Return image and class of the smallest key; None where nothing may be asked.

    Args:
        key: Keys of all labels.
        askable: Labels that may be asked now.
    """
    waiting = np.where(askable, key, np.inf)
    if not waiting.size or not np.isfinite(waiting.min()):
        return None
    row, column = divmod(int(waiting.argmin()), key.shape[1])
    return row, column


def in_order(key: Key, askable: Blank) -> Int64[np.ndarray, " question"]:
    """List all labels that may be asked, as indices into the flattened table, in the order of their keys."""
    places = np.flatnonzero(askable & np.isfinite(key))
    return places[np.argsort(key.ravel()[places], kind="stable")]


def between(probability: Probability, low: float, high: float) -> Blank:
    """Select labels with a probability in a closed range."""
    return (probability >= low) & (probability <= high)
