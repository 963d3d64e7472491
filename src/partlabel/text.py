"""Small helpers for messages that people read."""

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`" (did you mean 'x'?)"` for the nearest known word, or nothing."""
    nearest = get_close_matches(word, list(known), n=1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""


def some(things: Iterable[object], most: int = 5) -> str:
    """The first few things with commas between, and how many more there are."""
    listed = [str(thing) for thing in things]
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "")
