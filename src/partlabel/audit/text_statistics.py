"""How much text accompanies the photos of a table, and which classes it mentions.

A text mentions a class if it has all words of the class's name, each as written or inflected as in English: plural -s,
-es, -ies, and -ing.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from partlabel.data.tables.label_table import LabelTable

MOST_FREQUENT = 20
_WORD = re.compile(r"[^\W\d_]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NO_SPACES = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")  # scripts without spaces between words
_FUNCTION_WORDS = frozenset(
    (
        *(
            "a",
            "an",
            "and",
            "are",
            "as",
            "at",
            "be",
            "by",
            "for",
            "from",
            "has",
            "have",
            "in",
            "into",
            "is",
            "it",
        ),
        *(
            "its",
            "near",
            "next",
            "of",
            "off",
            "on",
            "out",
            "over",
            "some",
            "that",
            "the",
            "their",
            "there",
            "this",
        ),
        *("to", "up", "very", "with", "while", "his", "her", "he", "she", "they"),
        *("der", "die", "das", "ein", "eine", "und", "mit", "im", "auf", "von"),
        *(
            "le",
            "la",
            "les",
            "un",
            "une",
            "des",
            "et",
            "de",
            "du",
            "el",
            "los",
            "las",
            "una",
            "y",
            "en",
            "con",
        ),
    )
)
"""Words that say nothing about a photo, left out of the most frequent ones."""


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
    listed = [words_in(text) for text in texts]
    counts = Counter(chain.from_iterable(listed))
    frequent = (word for word, _ in counts.most_common() if word not in _FUNCTION_WORDS)
    photos = sum(map(bool, table.texts or ()))
    return TextStatistics(
        photos,
        len(texts) / max(photos, 1),
        counts.total() / max(len(texts), 1),
        [word for word, _ in zip(frequent, range(MOST_FREQUENT), strict=False)],
        unmentioned(table.classes, texts, listed),
    )


def words_in(text: str) -> list[str]:
    """Return the words of a text in one spelling: composed letters, without upper case."""
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold())


def unmentioned(classes: Sequence[str], texts: Sequence[str], listed: Sequence[Sequence[str]]) -> list[str]:
    """Return the classes that no text mentions.

    Args:
        classes: Class names.
        texts: All texts.
        listed: Words of each text.
    """
    names = {name: words_in(_HUMP.sub(" ", name)) for name in classes}
    same = _same_words(set(chain.from_iterable(names.values())), set(chain.from_iterable(listed)))
    texts_of: dict[str, set[int]] = defaultdict(set)
    for number, words in enumerate(listed):
        for word in words:
            for wanted in same.get(word, ()):
                texts_of[wanted].add(number)
    return [
        name for name, words in names.items() if not _in_one(words, texts_of) and not _inside(name, texts)
    ]


def forms(word: str) -> set[str]:
    """Return a word and the words of which it may be an inflection: `ponies` of `pony`, `riding` of `ride`."""
    found = {word}
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        found.add(word[:-1])
        found |= {word[:-2]} if word.endswith("es") else set()
        found |= {f"{word[:-3]}y"} if word.endswith("ies") else set()
    if word.endswith("ing") and len(word) > 5:
        stem = word[:-3]
        found |= {stem, f"{stem}e"} | ({stem[:-1]} if stem[-1] == stem[-2] else set())
    return found


def _same_words(wanted: Iterable[str], there: Iterable[str]) -> dict[str, list[str]]:
    """Return for each word of the texts the words of class names of which it is a form, or the other way round."""
    of_form: dict[str, set[str]] = defaultdict(set)
    for word in wanted:
        for form in forms(word):
            of_form[form].add(word)
    wanted = set(wanted)
    return {
        word: [*(of_form.get(word, set()) | {form for form in forms(word) if form in wanted})]
        for word in there
    }


def _in_one(words: Sequence[str], texts_of: dict[str, set[int]]) -> bool:
    """Whether one text has all words."""
    return bool(words) and bool(set.intersection(*(texts_of.get(word, set()) for word in words)))


def _inside(name: str, texts: Iterable[str]) -> bool:
    """Whether a name in a script without spaces occurs anywhere in a text."""
    return bool(_NO_SPACES.search(name)) and any(name in text for text in texts)
