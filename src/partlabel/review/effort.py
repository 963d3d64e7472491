"""Time of a review by the keystroke-level model: Card, Moran and Newell, Communications of the ACM 23 (7), 1980.

A key takes K = 0.2 s (an average skilled typist), pointing with a mouse P = 1.1 s, and a mental act before it
M = 1.35 s. One question at a time costs a look at the photo (M) and a key (K). On a page, the expected answers are set:
each photo costs a look (M), each wrong answer a click (P and K), and the page a look at its class (M) and the key that
confirms it (K). The model has no faster look at photos that are beside each other, although people have.
"""

from typing import NamedTuple

KEY, POINT, LOOK = 0.2, 1.1, 1.35
"""Seconds for a key, for pointing and for a mental act."""


class Effort(NamedTuple):
    """What a number of decisions costs.

    Attributes:
        keys: Number of keys and clicks.
        seconds: Time in seconds.
    """

    keys: float
    seconds: float


def one_at_a_time(decisions: float) -> Effort:
    """Compute the effort of single questions."""
    return Effort(decisions, decisions * (LOOK + KEY))


def by_pages(decisions: float, pages: float, corrected: float, look: float = LOOK) -> Effort:
    """Compute the effort of pages.

    Args:
        decisions: Number of photos on all pages.
        pages: Number of pages.
        corrected: Number of expected answers that were wrong.
        look: Seconds for a look at one photo of a page.
    """
    return Effort(pages + corrected, decisions * look + pages * (LOOK + KEY) + corrected * (POINT + KEY))
