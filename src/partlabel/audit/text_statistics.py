"""How much text accompanies the photos of a table, and which classes it mentions (`data/mentions.py`)."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from partlabel.data.mentions import mentioned, words_in
from partlabel.data.tables.label_table import LabelTable

MOST_FREQUENT = 20
_FUNCTION_WORDS = frozenset(
    words_in(
        "a an and are as at be by for from has have in into is it its near next of off on out over some "
        "that the their there this to up very with while his her he she they der die das ein eine und "
        "mit im auf von le la les un une des et de du el los las una y en con"
    )
)
"""Words without information about a photo, left out of the most frequent ones."""


class TextStatistics(NamedTuple):
    """What texts a table has.

    Attributes:
        photos: Number of photos with text.
        per_photo: Mean number of texts of a photo with text.
        words: Mean number of words of a text.
        frequent: Most frequent words, without function words.
        unmentioned: Classes that no text mentions.
    """

    photos: int
    per_photo: float
    words: float
    frequent: list[str]
    unmentioned: list[str]


def statistics_of_texts(table: LabelTable) -> TextStatistics:
    """Describe the texts of a table."""
    texts = list(chain.from_iterable(table.texts or ()))
    counts = Counter(word for word in chain.from_iterable(map(words_in, texts)) if not word.isdecimal())
    frequent = (word for word, _ in counts.most_common() if word not in _FUNCTION_WORDS)
    photos = sum(map(bool, table.texts or ()))
    return TextStatistics(
        photos,
        len(texts) / max(photos, 1),
        counts.total() / max(len(texts), 1),
        [word for word, _ in zip(frequent, range(MOST_FREQUENT), strict=False)],
        _unmentioned(table.classes, texts),
    )


def photos_with_mentions(table: LabelTable) -> int:
    """Count the photos with a text that mentions a class."""
    texts = table.texts or ()
    owners = [photo for photo, of_photo in enumerate(texts) for _ in of_photo]
    found = mentioned(table.classes, chain.from_iterable(texts))
    return len({photo for photo, classes in zip(owners, found, strict=True) if classes})


def _unmentioned(classes: Sequence[str], texts: Sequence[str]) -> list[str]:
    """Return the classes that no text mentions."""
    found = set(chain.from_iterable(mentioned(classes, texts)))
    return [name for number, name in enumerate(classes) if number not in found]
