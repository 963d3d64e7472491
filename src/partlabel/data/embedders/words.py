"""Hashed bag of words (Weinberger et al., "Feature hashing for large scale multitask learning", ICML 2009).

Each word, without its inflection, adds 1 or -1 to one of 2,048 numbers. Both are bits of its CRC-32, so that vectors
are the same in every process and on every machine. It needs no package and no weights, and knows no synonyms.
"""

import zlib
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from partlabel.data.embedders._base import Embedder, Embeddings
from partlabel.data.mentions import forms, without_spaces, words_in

DIMENSION = 2048


class Words(Embedder):
    """Hashed bag of words."""

    prompt: ClassVar[str | None] = None
    cached: ClassVar[bool] = False
    quick: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("words")

    @property
    def version(self) -> str:
        """Number that changes with the vectors."""
        return "1"

    def embed(self, texts: Sequence[str]) -> Embeddings:
        """Count the words of each text; zeros for one without words."""
        found = np.zeros((len(texts), DIMENSION), np.float32)
        for row, text in enumerate(texts):
            for word in words_in(text):
                number = zlib.crc32(stem(word).encode(errors="replace"))
                found[row, number % DIMENSION] += 1.0 if number >> 31 else -1.0
        return found

    def knows(self, words: Sequence[str]) -> list[bool]:
        """Return whether each word is in a script with spaces between words; others make one word of a sentence."""
        return [not without_spaces(word) for word in words]


def stem(word: str) -> str:
    """Return the shortest word of which a word may be an inflection, without a last `e`: `riding`, `ride`: `rid`."""
    shortest = min(forms(word), key=lambda form: (len(form), form))
    return shortest.removesuffix("e") if len(shortest) > 3 else shortest
