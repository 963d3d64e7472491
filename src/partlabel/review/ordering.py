"""Orders of the questions: pure functions of the model's probabilities.

=========  =====================================================================================================
uncertain  where the model is least certain: the probability nearest to one half
surest     where the model is most certain of presence, so that most answers are yes
class      the classes take turns, `TURN` questions each, the most certain first: one question on many photos
random     a random sample, to estimate how often the model is right
=========  =====================================================================================================

An order is a *key* for every unknown label; the smallest comes first, ties in the order of the table. A key that
depends only on the label's own probability can be updated for one image alone.
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int64

Order = Literal["uncertain", "surest", "class", "random"]
ORDERS: tuple[Order, ...] = ("uncertain", "surest", "class", "random")
OF_ITSELF: tuple[Order, ...] = ("uncertain", "surest")
"""Orders in which the key of a label depends only on its own probability."""
TURN = 20

Probability = Float[np.ndarray, "image class"]
Blank = Bool[np.ndarray, "image class"]
Key = Float[np.ndarray, "image class"]


def key(order: Order, probability: Probability, blank: Blank, seed: int = 0) -> Key:
    """Compute the key of every label: the smallest is asked first; labels that are not unknown are never asked.

    Args:
        order: One of `ORDERS`.
        probability: Probabilities that the class is present.
        blank: Labels that may be asked.
        seed: Random seed, for `random`.
    """
    found: Key
    match order:
        case "uncertain":
            found = np.abs(probability - 0.5)
        case "surest":
            found = 1.0 - probability
        case "class":
            found = in_turns(probability, blank)
        case "random":
            found = np.random.default_rng(seed).random(probability.shape)
    return np.where(blank, found, np.inf)


def in_turns(probability: Probability, blank: Blank, turn: int = TURN) -> Key:
    """Rank labels in turns of a fixed number per class, the most certain of each class first.

    Args:
        probability: Probabilities that the class is present.
        blank: Labels that take part.
        turn: Number of labels of a class per turn.
    """
    classes = probability.shape[1]
    surest = np.argsort(np.where(blank, -probability, np.inf), axis=0, kind="stable")
    rank = np.argsort(surest, axis=0, kind="stable")
    turns, place = np.divmod(rank, turn)
    return turns * classes + np.arange(classes) + place / turn


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
