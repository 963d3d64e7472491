"""Problems of a vocabulary: classes that may be one, that have hardly any photos, that a rule makes superfluous.

Two classes are compared by their names (`name_pairs.py`) and by their photos: of the photos where both are known and
at least one is present, the share that shows both (the Jaccard index), with its 95 % interval (Clopper and Pearson).
A class is superfluous where it implies another one by a rule and, as far as labels are known, is implied by it as well.
Labels that follow from rules do not count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from partlabel.audit.rule_proposals import SUPPORT, interval
from partlabel.core.column_rules import ROWS, ColumnRules
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.rules import Rules
from partlabel.data.name_pairs import INFLECTION, SAME_WORDS, TwoNames, alike, embedder_of_names
from partlabel.data.tables.closure import without_rule_labels
from partlabel.data.tables.label_table import LabelTable

SAME_PHOTOS, RULE = "same photos", "rule"
LEAST = 0.8
"""Lowest lower end of the interval of the share of photos that show both, for classes with unlike names."""
MOST_CLASSES = 2000
"""Classes whose photos are compared: those that are most often known present."""


class Alike(NamedTuple):
    """Two classes that may be one.

    Attributes:
        one: The class that is present in fewer photos, to merge into the other.
        other: The other class.
        why: Why they may be one.
        present: Number of photos that show each.
        both: Number of photos that show both.
        either: Number of photos that show at least one, and where both are known.
        known: Number of photos where both are known.
        low: Lower end of the interval of their ratio.
        high: Upper end of the interval of their ratio.
    """

    one: str
    other: str
    why: str
    present: tuple[int, int]
    both: int
    either: int
    known: int
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        """Whether the names say the same, and no photo shows one without the other."""
        return self.why in (SAME_WORDS, INFLECTION) and self.both == self.either

    @property
    def photos(self) -> str:
        """The photos that show both."""
        if not self.known:
            return "never both known"
        if not self.either:
            return f"neither is in the {self.known:,} photos where both are known"
        return f"{self.both:,} of {self.either:,} photos with either show both ({self.low:.1%} to {self.high:.1%})"

    @property
    def sentence(self) -> str:
        """The classes, why they may be one, and their photos."""
        counts = " and ".join(f"{count:,}" for count in self.present)
        return f"{self.one} and {self.other}: {self.why}; present in {counts} photos; {self.photos}"


class Rare(NamedTuple):
    """A class that is present in one photo or none.

    Attributes:
        name: The class.
        present: Number of photos that show it.
        absent: Number of photos that are known not to show it.
    """

    name: str
    present: int
    absent: int

    @property
    def sentence(self) -> str:
        """The class and its counts."""
        how_often = "once" if self.present else "never"
        return f"{self.name}: {how_often} known present, known absent in {self.absent:,} photos"


@dataclass(frozen=True)
class Vocabulary:
    """What a vocabulary can be tidied by.

    Attributes:
        alike: Pairs of classes that may be one: sure ones first.
        rare: Classes that are present in one photo or none.
        superfluous: Classes that a rule makes superfluous.
        embedder: Embedder that compared meanings; None where no installed one can.
    """

    alike: tuple[Alike, ...]
    rare: tuple[Rare, ...]
    superfluous: tuple[Alike, ...]
    embedder: str | None

    @property
    def sections(self) -> Mapping[str, list[str]]:
        """A heading, and a line for each class or pair under it."""
        how = f"compared by {self.embedder}" if self.embedder else "not compared: pip install wordllama"
        return {
            f"classes that may be one (meanings {how})": [each.sentence for each in self.alike],
            "classes present in one photo or none": [each.sentence for each in self.rare],
            "classes that a rule makes superfluous": [each.sentence for each in self.superfluous],
        }


def vocabulary(table: LabelTable, rules: Rules | None = None) -> Vocabulary:
    """Find what a vocabulary can be tidied by.

    Args:
        table: Label table.
        rules: Rules between its classes.
    """
    table = without_rule_labels(table)
    photos = _Photos(table)
    implied = _implications(table, rules)
    why = {**dict.fromkeys(photos.same, SAME_PHOTOS), **alike(table.classes)}
    for one, other in implied:
        why.pop((min(one, other), max(one, other)), None)
    pairs = sorted((photos.pair(*pair, why[pair]) for pair in why), key=_order)
    rare = [
        Rare(*each) for each in zip(table.classes, photos.present, photos.absent, strict=True) if each[1] < 2
    ]
    return Vocabulary(
        tuple(pairs),
        tuple(sorted(rare)),
        tuple(photos.pair(*each, RULE, keep_order=True) for each in implied if photos.implied_back(*each)),
        embedder_of_names(),
    )


def _order(each: Alike) -> tuple[bool, float, str]:
    return not each.is_sure, -each.both / max(each.either, 1), each.one


def _implications(table: LabelTable, rules: Rules | None) -> list[TwoNames]:
    """Return pairs of columns of which the first implies the second by the rules."""
    if not rules:
        return []
    here = [name for name in rules.adds if name not in table.classes]
    implied = ColumnRules(rules, (*table.classes, *here)).implied[: len(table.classes), : len(table.classes)]
    return [(one, other) for one, other in np.argwhere(implied).tolist() if one != other]


class _Photos:
    """Counts of photos by class, and by pair of classes."""

    def __init__(self, table: LabelTable) -> None:
        self.table, self.labels = table, table.labels
        self.present: list[int] = (self.labels == PRESENT).sum(0).tolist()
        self.absent: list[int] = (self.labels == ABSENT).sum(0).tolist()

    @property
    def same(self) -> list[TwoNames]:
        """Pairs of classes that are present in nearly the same photos, where both are known."""
        kept = np.sort(np.argsort(-np.array(self.present), kind="stable")[:MOST_CLASSES])
        both, first = np.zeros((2, len(kept), len(kept)))
        for start in range(0, len(self.labels), ROWS):
            labels = self.labels[start : start + ROWS, kept]
            present = (labels == PRESENT).astype(np.float32)
            both += present.T @ present
            first += present.T @ (labels != UNKNOWN).astype(np.float32)
        either = first + first.T - both
        rows, columns = np.nonzero(np.triu((both >= SUPPORT) & (both >= LEAST * either), 1))
        low, _ = interval(both[rows, columns], either[rows, columns])
        return [
            (int(kept[a]), int(kept[b])) for a, b, end in zip(rows, columns, low, strict=True) if end >= LEAST
        ]

    def pair(self, one: int, other: int, why: str, keep_order: bool = False) -> Alike:
        """Compare the photos of two classes."""
        if not keep_order and self.present[one] > self.present[other]:
            one, other = other, one
        a, b = self.labels[:, one], self.labels[:, other]
        known = (a != UNKNOWN) & (b != UNKNOWN)
        both = int(((a == PRESENT) & (b == PRESENT)).sum())
        either = int((known & ((a == PRESENT) | (b == PRESENT))).sum())
        low, high = (
            (float(end) for end in interval(np.array(float(both)), np.array(float(either))))
            if either
            else (0.0, 1.0)
        )
        names, counts = self.table.classes, (self.present[one], self.present[other])
        return Alike(names[one], names[other], why, counts, both, either, int(known.sum()), low, high)

    def implied_back(self, one: int, other: int) -> bool:
        """Return whether a class that implies another is, by the labels, implied by it."""
        found = self.pair(one, other, RULE, keep_order=True)
        return found.both >= SUPPORT and found.low >= LEAST
