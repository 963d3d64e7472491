"""Inspection of a label table before training; `partlabel inspect`.

Counts of each class, classes with only present or only absent labels, pairs of classes without joint information; and
broken images and near-duplicates.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from partlabel.audit import near_duplicates
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.progress_bar import track
from partlabel.data.images.broken import Broken
from partlabel.data.images.decode import decode
from partlabel.data.images.depth import SCALED
from partlabel.data.tables import statistics
from partlabel.data.tables.label_table import LabelTable

_MOST_CLASSES, _MOST_PAIRS = 4000, 200
_SIDE = 64  # pixels that a hash is taken of, at least


class Class(NamedTuple):
    """A class and its label counts."""

    name: str
    present: int
    absent: int
    unknown: int


class Part(NamedTuple):
    """A part of the split and its label counts.

    Attributes:
        name: Name of the part; empty for images in no part.
        images: Number of images.
        present: Number of known present labels.
        absent: Number of known absent labels.
        unknown: Number of unknown labels.
        whole: Number of images with all labels known.
    """

    name: str
    images: int
    present: int
    absent: int
    unknown: int
    whole: int


class Origin(NamedTuple):
    """An origin of labels and its label counts."""

    name: str
    present: int
    absent: int


class Pair(NamedTuple):
    """Two classes, and the expected number of images with both if they were independent."""

    one: str
    other: str
    expected: float


class Pairs(NamedTuple):
    """Number of pairs of a kind, and the first of them."""

    number: int
    first: tuple[Pair, ...]


class Scaled(NamedTuple):
    """Images whose values were scaled to 8 bits, and their original format."""

    what: str
    images: tuple[str, ...]


class NearDuplicates(NamedTuple):
    """Images that are nearly identical.

    Attributes:
        images: Paths as in the table.
        parts: Parts of the split that contain them.
        disputed: Classes that are present in one of them and absent in another.
    """

    images: tuple[str, ...]
    parts: tuple[str, ...]
    disputed: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """Result of an inspection.

    Attributes:
        images: Number of images.
        classes: Class counts, in the order of the table.
        never_together: Pairs of classes that are never both known in an image, so that their co-occurrence is unknown;
            most frequently known classes first. Of many classes, only the most frequently known are considered.
        apart: Pairs that are known together and never present together, sorted by their expected co-occurrence.
        parts: Parts of the split; empty if the table has no split.
        looked: Whether images were inspected.
        broken: Images that cannot be read.
        alike: Groups of near-duplicates; those across parts first.
        origins: Origins of known labels, most common first; empty if not recorded. An empty name stands for labels of
            unknown origin.
        scaled: Images of more than 8 bits that were scaled by another rule than plain 16 bits (see `depth`).
    """

    images: int
    classes: tuple[Class, ...]
    never_together: Pairs
    apart: Pairs
    parts: tuple[Part, ...]
    looked: bool = False
    broken: tuple[Broken, ...] = ()
    alike: tuple[NearDuplicates, ...] = ()
    origins: tuple[Origin, ...] = ()
    scaled: tuple[Scaled, ...] = ()

    @property
    def never_present(self) -> tuple[str, ...]:
        """Classes without a present label, which cannot be learned."""
        return tuple(each.name for each in self.classes if not each.present)

    @property
    def never_absent(self) -> tuple[str, ...]:
        """Classes with present labels but no absent label, so that there is no negative example."""
        return tuple(each.name for each in self.classes if each.present and not each.absent)

    @property
    def known(self) -> float:
        """Fraction of known labels."""
        labels = sum(each.present + each.absent + each.unknown for each in self.classes)
        return sum(each.present + each.absent for each in self.classes) / max(labels, 1)

    @property
    def leaks(self) -> tuple[NearDuplicates, ...]:
        """Near-duplicates that are in more than one part."""
        return tuple(each for each in self.alike if len(each.parts) > 1)


def count_classes(table: LabelTable) -> tuple[Class, ...]:
    """Count the labels of each class."""
    columns = (each.tolist() for each in statistics.counts(table.labels))
    return tuple(Class(*of) for of in zip(table.classes, *columns, strict=True))


def inspect(table: LabelTable, look: bool = False, near_bits: int = 6, workers: int = 2) -> Inspection:
    """Inspect a table, and optionally its images.

    Args:
        table: Label table, with a root if images are to be inspected.
        look: Read every image.
        near_bits: Maximum number of the 128 bits of an image's hash that differ in a near-duplicate.
        workers: Threads that read images.

    Raises:
        ValueError: Images are to be inspected but the table has no root, or `near_bits` is not from 0 to 32.
    """
    if not 0 <= near_bits <= 32:
        raise ValueError(f"near_bits is {near_bits}; near-duplicates differ in 0 to 32 of 128 bits")
    never, apart = _pairs(table)
    broken, alike, scaled = _looked_at(table, near_bits, workers) if look else ((), (), ())
    counted = count_classes(table), never, apart, count_parts(table)
    return Inspection(len(table), *counted, look, broken, alike, origins_of(table), scaled)


def count_parts(table: LabelTable) -> tuple[Part, ...]:
    """Count the labels of each part of a table's split."""
    number = {name: at for at, name in enumerate(table.parts)}
    part = np.array([number[name] for name in table.split or ()], np.int64)
    of_rows = [
        np.ones(len(part)),
        *((table.labels == code).sum(axis=1) for code in (PRESENT, ABSENT, UNKNOWN)),
    ]
    of_rows.append((table.labels != UNKNOWN).all(axis=1))
    counts = [np.bincount(part, each, len(number)).astype(int).tolist() for each in of_rows if len(part)]
    return tuple(Part(name, *each) for name, *each in zip(number, *counts, strict=True))


def origins_of(table: LabelTable) -> tuple[Origin, ...]:
    """Count the known labels of each origin, most common first."""
    if table.origins is None:
        return ()
    columns = []
    for code in (PRESENT, ABSENT):
        codes = table.origins.codes[table.labels == code]
        columns.append([int(np.count_nonzero(codes == number)) for number in range(len(table.origins.names))])
    found = [Origin(*each) for each in zip(table.origins.names, *columns, strict=True) if any(each[1:])]
    return tuple(sorted(found, key=lambda each: -each.present - each.absent))


def _pairs(table: LabelTable) -> tuple[Pairs, Pairs]:
    """Return the pairs never known together, and those known but never present together."""
    counts = statistics.counts(table.labels)
    kept = np.sort(np.argsort(counts.unknown, kind="stable")[:_MOST_CLASSES])
    names = [table.classes[column] for column in kept.tolist()]
    labels = table.labels if len(kept) == len(table.classes) else np.ascontiguousarray(table.labels[:, kept])
    present, known = statistics.count_together(labels)
    each = np.diag(present) / np.maximum(np.diag(known), 1)  # share of its known labels that are present
    expected = known * np.outer(each, each)
    often = np.sqrt(np.outer(np.diag(known), np.diag(known)))
    upper = np.triu(np.ones(known.shape, bool), 1)
    never = _ordered(names, upper & (known == 0), often, expected)
    return never, _ordered(names, upper & (known > 0) & (present == 0), expected, expected)


def _ordered(classes: Sequence[str], wanted: np.ndarray, weight: np.ndarray, expected: np.ndarray) -> Pairs:
    one, other = np.nonzero(wanted)
    order = np.argsort(-weight[one, other], kind="stable")[:_MOST_PAIRS]
    first = zip(one[order].tolist(), other[order].tolist(), strict=True)
    return Pairs(len(one), tuple(Pair(classes[i], classes[j], float(expected[i, j])) for i, j in first))


def _looked_at(
    table: LabelTable, most: int, workers: int
) -> tuple[tuple[Broken, ...], tuple[NearDuplicates, ...], tuple[Scaled, ...]]:
    """Return broken images, near-duplicates and scaled images, reading every image once."""
    scaled: dict[str, list[str]] = {}

    def look(row: int) -> np.ndarray | Broken | None:
        path = table.path(row)
        try:
            image = decode(path, at_least=_SIDE)
            if what := image.info.get(SCALED):
                scaled.setdefault(what, []).append(table.images[row])
            return near_duplicates.difference_hash(image)
        except OSError as error:
            return Broken(table.images[row], str(error).removeprefix(f"{path}: "))

    with ThreadPoolExecutor(workers) as pool:
        found = list(track(pool.map(look, range(len(table))), "Checking photos", len(table), "photos"))
    broken = tuple(each for each in found if isinstance(each, Broken))
    groups = near_duplicates.groups([None if isinstance(each, Broken) else each for each in found], most)
    alike = [_alike(table, rows) for rows in groups]
    conversions = tuple(Scaled(what, tuple(sorted(images))) for what, images in sorted(scaled.items()))
    return broken, tuple(sorted(alike, key=lambda each: (-len(each.parts), -len(each.disputed)))), conversions


def _alike(table: LabelTable, rows: list[int]) -> NearDuplicates:
    labels = table.labels[rows]
    both = (labels == PRESENT).any(axis=0) & (labels == ABSENT).any(axis=0)
    parts = () if table.split is None else tuple(dict.fromkeys(table.split[row] for row in rows))
    disputed = tuple(table.classes[column] for column in np.flatnonzero(both))
    return NearDuplicates(tuple(table.images[row] for row in rows), parts, disputed)
