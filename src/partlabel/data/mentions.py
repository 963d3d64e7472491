"""Which classes a text mentions by name.

A text mentions a class if it has all words of the class's name, in any order and at any distance, each as written or
inflected as in English (`forms`). Two neighbouring words also count as one, so that `dining table` mentions
`diningtable`, and a name in one word, as in a hashtag, counts as its words. A name in a script without spaces between
words is mentioned where it occurs anywhere in the text. Synonyms are not known. In an exploration whose rows were not
kept, words at any distance found more photos of classes named by two words than neighbouring words alone did, at nearly
the same precision.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

LONG_ENOUGH = 6
"""Letters from which on two neighbouring words are compared with a name of one word."""
_WORD = re.compile(r"[^\W_]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_VOWEL = re.compile("[aeiouy]")
_NO_SPACES = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")
_IRREGULAR = {
    **{"men": "man", "women": "woman", "people": "person", "children": "child"},
    **{"feet": "foot", "teeth": "tooth", "geese": "goose", "mice": "mouse"},
}


def mentioned(classes: Sequence[str], texts: Iterable[str]) -> list[list[int]]:
    """Find the classes that each text mentions.

    Args:
        classes: Class names.
        texts: Texts.

    Returns:
        Numbers of classes for each text, in ascending order.
    """
    names = _Names(classes)
    return [names.within(text) for text in texts]


def spans_of(name: str, text: str) -> list[tuple[int, int]]:
    """Find where a text mentions a class: the words by which it does, as pairs of begin and end; none if it does not.

    Args:
        name: Class name.
        text: Text in composed letters (NFC).
    """
    names = _Names([name])
    if not names.within(text):
        return []
    words = word_spans(text)
    found = {span for span in words if names.has(text[slice(*span)])}
    for first, second in pairwise(words):
        if names.has(text[slice(*first)] + text[slice(*second)]):
            found |= {first, second}
    if without_spaces(name):
        found |= {
            (each.start(), each.end())
            for each in re.finditer(re.escape(unicodedata.normalize("NFC", name)), text)
        }
    return sorted(found)


def word_spans(text: str) -> list[tuple[int, int]]:
    """Find the words of a text as pairs of begin and end."""
    return [found.span() for found in _WORD.finditer(text)]


def words_in(text: str) -> list[str]:
    """Return the words of a text in one spelling: composed letters, without upper case."""
    return _WORD.findall(unicodedata.normalize("NFC", text).casefold())


def words_of_name(name: str) -> list[str]:
    """Return the words of a class name: `diningTable`, `dining_table` and `Dining-Table` are dining, table.

    A name of digits alone has none: it is a number in texts, which is not evidence of a class.
    """
    words = words_in(_HUMP.sub(" ", name))
    return [] if all(word.isdecimal() for word in words) else words


def plain_name(name: str) -> str:
    """Return a class name as words in a sentence: `diningTable` is `dining table`; a name without words stays."""
    return " ".join(words_of_name(name)) or name


def without_spaces(text: str) -> bool:
    """Return whether a text has letters of a script without spaces between words (Chinese, Japanese, Thai, Lao)."""
    return bool(_NO_SPACES.search(text))


def forms(word: str) -> set[str]:
    """Return a word and the words of which it may be an inflection.

    Plurals (`dogs`, `buses`, `ponies`, `knives`, `people`) and verb forms (`sitting`, `riding`, `parked`); the set may
    hold words that do not exist.
    """
    found = {word}
    if word in _IRREGULAR:
        found.add(_IRREGULAR[word])
    if word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        found.add(word[:-1])
        if word.endswith("ies"):
            found.add(f"{word[:-3]}y")
        elif word.endswith("ves"):
            found |= {f"{word[:-3]}f", f"{word[:-3]}fe"}
        elif word.endswith("es"):
            found.add(word[:-2])
    for ending in ("ing", "ed"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2 and _VOWEL.search(stem):
            found |= {stem, f"{stem}e"}
            if stem[-1] == stem[-2]:
                found.add(stem[:-1])
    return found


class _Names:
    """Class names, with the words that are forms of theirs."""

    def __init__(self, classes: Sequence[str]) -> None:
        self.parts = [frozenset(words_of_name(name)) for name in classes]
        self.joined: dict[str, set[int]] = defaultdict(set)
        self.classes_of: dict[str, set[int]] = defaultdict(set)
        self.of_form: dict[str, set[str]] = defaultdict(set)
        self.inside = {
            number: unicodedata.normalize("NFC", name)
            for number, name in enumerate(classes)
            if without_spaces(name)
        }
        for number, name in enumerate(classes):
            words = words_of_name(name)
            if len("".join(words)) >= LONG_ENOUGH:
                for form in forms("".join(words)):
                    self.joined[form].add(number)
            for word in words:
                self.classes_of[word].add(number)
                for form in forms(word):
                    self.of_form[form].add(word)
        self._same: dict[str, frozenset[str]] = {}

    def within(self, text: str) -> list[int]:
        """Return the classes that a text mentions."""
        words = words_in(text)
        there = frozenset[str]().union(*(self._names_of(word) for word in words))
        some = {number for word in there for number in self.classes_of[word]}
        found = {number for number in some if self.parts[number] <= there}
        for whole in (*words, *(first + second for first, second in pairwise(words))):
            if len(whole) >= LONG_ENOUGH:
                found |= set().union(*(self.joined.get(form, ()) for form in forms(whole)))
        if self.inside:
            composed = unicodedata.normalize("NFC", text)
            found |= {number for number, name in self.inside.items() if name in composed}
        return sorted(found)

    def has(self, word: str) -> bool:
        """Return whether a word is a form of a word of a name, or of a whole name in one word."""
        return any(
            self._names_of(each)
            or (len(each) >= LONG_ENOUGH and any(self.joined.get(form) for form in forms(each)))
            for each in words_in(word)
        )

    def _names_of(self, word: str) -> frozenset[str]:
        """Return the words of class names of which a word is a form, or the other way round."""
        if word not in self._same:
            same = (self.of_form.get(form, ()) for form in forms(word))
            self._same[word] = frozenset[str]().union(*same)
        return self._same[word]
