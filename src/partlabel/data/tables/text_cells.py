"""Texts that accompany photos: cleaning, and the cell of a table that holds the texts of a photo, one per line.

A text is one line. Blank texts are dropped, and so are texts that only repeat another one of the photo, and those
without information about it: numbers, web addresses, and words for a missing value or a label.
"""

import re
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from itertools import chain

Texts = tuple[tuple[str, ...], ...]
"""The texts of each photo."""
MOST_CHARACTERS = 10_000
"""Length at which a text is cut."""
COLUMNS = ("text", "caption", "description", "title", "alt")
"""Names for the column of texts; a table is written with the first that is not a class."""
SAYING_NOTHING = frozenset(
    (
        *("true", "false", "yes", "no", "y", "n", "t", "f", "x", "present", "absent", "positive", "negative"),
        *("nan", "na", "n/a", "#n/a", "<na>", "nat", "none", "null", "nil", "unsure"),
    )
)
"""Words in lower case that are labels or missing values, not texts."""
_LINE_ENDS = re.compile(r"[\r\n]+")
_NOT_PRINTED = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*://|www\.)\S+", re.IGNORECASE)


def says_something(text: str) -> bool:
    """Return whether a text has words (or pictographs), and is not just a web address, a label or a missing value."""
    if not any(mark.isalpha() for mark in text):
        return any(unicodedata.category(mark) == "So" for mark in text)
    return text.strip().lower() not in SAYING_NOTHING and not _ADDRESS.fullmatch(text.strip())


def cleaned(texts: Iterable[str]) -> tuple[tuple[str, ...], int]:
    """Clean the texts of a photo: each line is a text, and control characters are removed.

    Returns:
        The distinct texts in their order, and how many were cut.
    """
    found: dict[str, None] = {}
    cut = 0
    for line in chain.from_iterable(map(_LINE_ENDS.split, texts)):
        text = " ".join(_NOT_PRINTED.sub(" ", line).split())
        if len(text) > MOST_CHARACTERS:
            text, cut = text[:MOST_CHARACTERS].rstrip(), cut + 1
        if says_something(text):
            found[text] = None
    return tuple(found), cut


def clean(source: object, rows: Sequence[Iterable[str]]) -> Texts:
    """Clean the texts of many photos.

    Args:
        source: Source of the texts, for messages.
        rows: Texts of each photo.

    Warns:
        UserWarning: Texts were cut.
    """
    found, cuts = zip(*map(cleaned, rows), strict=True) if rows else ((), ())
    if any(cuts):
        warnings.warn(
            f"{source}: {sum(cuts):,} text(s) have more than {MOST_CHARACTERS:,} characters; the rest is cut off",
            stacklevel=3,
        )
    return found


def column_name(classes: Iterable[str]) -> str:
    """Return the name of the column of texts in a table of these classes.

    Raises:
        ValueError: All usual names are classes.
    """
    taken = set(classes)
    name = next((name for name in COLUMNS if name not in taken), None)
    if name is None:
        raise ValueError(
            f"the table has texts and no name for their column: {', '.join(COLUMNS)} are classes; rename one, or "
            "remove the texts with with_texts(None)"
        )
    return name


def lines_in_cells(texts: Sequence[Sequence[str]]) -> list[str | None]:
    """Return the cell of each photo: its texts, one per line; None for a photo without text."""
    return ["\n".join(of_photo) or None for of_photo in texts]
