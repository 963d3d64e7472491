"""Small helpers for messages."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from math import ceil

MOST_KNOWN, MOST_LETTERS = 2000, 100
"""Maximum number of candidates to compare, and of letters of the word: each costs time."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `" (did you mean 'x'?)"` for the nearest known word, or an empty string."""
    nearest = get_close_matches(word[:MOST_LETTERS], list(islice(known, MOST_KNOWN)), n=1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""


def some(things: Iterable[object], most: int = 5) -> str:
    """Join the first few things by commas, and add how many more there are."""
    listed = [str(thing) for thing in things]
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "")


def in_bytes(size: str) -> int:
    """Convert `"20GB"` to 20,000,000,000.

    Raises:
        ValueError: It is not a size.
    """
    found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([KMGT]?)B?", size.strip(), re.IGNORECASE)
    if not found:
        raise ValueError(f"{size!r} is not a size; write it as 20GB, 500MB or 1.5TB")
    return int(float(found[1]) * 1000 ** " KMGT".index(found[2].upper() or " "))


def shown_bytes(size: int) -> str:
    """Format 20,000,000,000 as `"20GB"`, as `in_bytes` reads it, rounded up to three digits."""
    unit = next((power for power in (4, 3, 2, 1) if size >= 1000**power), 0)
    if not unit:
        return f"{size}B"
    value = size / 1000**unit
    places = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{ceil(value * 10**places) / 10**places:g}{' KMGT'[unit]}B"
