"""Which blank is asked about first: pure functions of what a model says of it.

=========  =====================================================================================================
uncertain  where the model knows least: the probability nearest to one half
surest     where it is surest that the class is there, so that the answers are mostly yes
class      the classes take turns, `TURN` questions each, the surest first: the same question on many photos
random     a fair sample, as for finding out how often the model is right
=========  =====================================================================================================

An order is a *key* for every blank; the smallest comes first, and of equals the one that stands first in the table. A
key that hangs on the probability of its own blank alone can be changed for one image without looking at the others.
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int64

Order = Literal["uncertain", "surest", "class", "random"]
ORDERS: tuple[Order, ...] = ("uncertain", "surest", "class", "random")
OF_ITSELF: tuple[Order, ...] = ("uncertain", "surest")
"""Orders in which the key of a blank hangs on nothing but its own probability."""
TURN = 20

Probability = Float[np.ndarray, "image class"]
Blank = Bool[np.ndarray, "image class"]
Key = Float[np.ndarray, "image class"]


def key(order: Order, probability: Probability, blank: Blank, seed: int = 0) -> Key:
    """What each blank waits for: the smallest is asked first, and whatever is no blank never.

    Args:
        order: One of `ORDERS`.
        probability: That the class is present.
        blank: What may be asked about.
        seed: Of the draw, for `random`.
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
    """So many blanks of the first class, the surest first, as many of the second, ...; then the next of the first.

    Args:
        probability: That the class is present.
        blank: What takes part.
        turn: Blanks of a class before it is the next one's turn.
    """
    classes = probability.shape[1]
    surest = np.argsort(np.where(blank, -probability, np.inf), axis=0, kind="stable")
    rank = np.argsort(surest, axis=0, kind="stable")
    turns, place = np.divmod(rank, turn)
    return turns * classes + np.arange(classes) + place / turn


def first(key: Key, askable: Blank) -> tuple[int, int] | None:
    """Image and class of the smallest key; None where nothing may be asked.

    Args:
        key: Of every label.
        askable: What may be asked now.
    """
    waiting = np.where(askable, key, np.inf)
    if not waiting.size or not np.isfinite(waiting.min()):
        return None
    row, column = divmod(int(waiting.argmin()), key.shape[1])
    return row, column


def in_order(key: Key, askable: Blank) -> Int64[np.ndarray, " question"]:
    """All that may be asked, as places in the flattened table, the first to be asked first."""
    places = np.flatnonzero(askable & np.isfinite(key))
    return places[np.argsort(key.ravel()[places], kind="stable")]


def between(probability: Probability, low: float, high: float) -> Blank:
    """Where the probability lies in a range, both ends included."""
    return (probability >= low) & (probability <= high)
