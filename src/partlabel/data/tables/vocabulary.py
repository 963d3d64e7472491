"""Changes of the classes of a label table: rename, merge, drop and split, each with what it changes in words; and add.

A change returns a new table; known labels keep their sources. The rules:

======  ================================================================================================
merge   present where either class is present, absent where both are, else unknown: nothing contradicts
split   the children are absent where the parent is, and unknown where it is present: which of them is not known
======  ================================================================================================
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.messages import did_you_mean, some
from partlabel.data.tables.label_table import LabelTable, made_read_only
from partlabel.data.tables.provenance import Origins


class Changed(NamedTuple):
    """A table after a change.

    Attributes:
        table: The table.
        sentence: What changed, for people.
    """

    table: LabelTable
    sentence: str


@dataclass(frozen=True)
class Edits:
    """Changes of a vocabulary, in the order in which they are made.

    Attributes:
        rename: Old and new name.
        merge: A class, and the one that it becomes part of.
        drop: Classes.
        split: A class, and the classes that replace it.
    """

    rename: tuple[tuple[str, str], ...] = ()
    merge: tuple[tuple[str, str], ...] = ()
    drop: tuple[str, ...] = ()
    split: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rename or self.merge or self.drop or self.split)

    def and_then(self, more: "Edits") -> "Edits":
        """Add changes; those of each kind come after the ones that are there."""
        return Edits(
            self.rename + more.rename, self.merge + more.merge, self.drop + more.drop, self.split + more.split
        )

    def apply(self, table: LabelTable) -> tuple[LabelTable, list[str]]:
        """Make all changes; return the table, and what each of them changes.

        Raises:
            ValueError: The table lacks a class, or has one that a change would add.
        """
        said = []
        for change in self.changes():
            table, sentence = change(table)
            said.append(sentence)
        return table, said

    def changes(self) -> list[Callable[[LabelTable], Changed]]:
        """List the changes as functions of a table."""
        return [
            *(partial(rename, old=old, new=new) for old, new in self.rename),
            *(partial(unite, one=one, into=into) for one, into in self.merge),
            *(partial(drop, name=name) for name in self.drop),
            *(partial(split, name=name, into=into) for name, into in self.split),
        ]

    def names(self, classes: Sequence[str]) -> list[tuple[str, list[int]]]:
        """Return for each class after the changes its name, and the numbers of the classes that it unites.

        The first of these is the class that was merged into. Splits are left out, because a tagger has none.

        Args:
            classes: Classes before the changes.
        """
        found = [(name, [at]) for at, name in enumerate(classes)]
        for old, new in self.rename:
            found = [(new if name == old else name, of) for name, of in found]
        for one, into in self.merge:
            part = next(of for name, of in found if name == one)
            found = [(name, of + part if name == into else of) for name, of in found if name != one]
        return [(name, of) for name, of in found if name not in self.drop]


def rename(table: LabelTable, old: str, new: str) -> Changed:
    """Give a class another name."""
    at = _column(table, old)
    if new in table.classes:
        raise ValueError(
            f"cannot rename {old!r}: there is a class {new!r} already; unite them with --merge {old}={new}"
        )
    classes = (*table.classes[:at], new, *table.classes[at + 1 :])
    known = int((table.labels[:, at] != UNKNOWN).sum())
    return Changed(replace(table, classes=classes), f"rename {old!r} to {new!r}: {known:,} known labels stay")


def unite(table: LabelTable, one: str, into: str) -> Changed:
    """Make a class part of another."""
    a, b = _column(table, into), _column(table, one)
    if a == b:
        raise ValueError(f"cannot merge {one!r} into itself: name two classes, as in --merge cab=taxi")
    first, second = table.labels[:, a], table.labels[:, b]
    present, absent = (first == PRESENT) | (second == PRESENT), (first == ABSENT) & (second == ABSENT)
    labels = table.labels.copy()
    labels[:, a] = np.where(present, PRESENT, np.where(absent, ABSENT, UNKNOWN))
    origins = table.origins
    if origins is not None:
        codes = origins.codes.copy()
        codes[:, a] = np.where((first != PRESENT) & (second == PRESENT), codes[:, b], codes[:, a])
        origins = Origins(codes, origins.names).only(labels != UNKNOWN).without_draws([a])
    both = replace(table, labels=made_read_only(labels), origins=origins)
    more, lost = present & (first != PRESENT), ~present & ~absent & (first == ABSENT)
    sentence = (
        f"merge {one!r} into {into!r}: {int(more.sum()):,} labels become present, {int(lost.sum()):,} absent ones "
        f"unknown, because {one!r} is unknown there; {int(present.sum()):,} present and {int(absent.sum()):,} absent"
    )
    return Changed(drop(both, one).table, sentence)


def drop(table: LabelTable, name: str) -> Changed:
    """Remove a class."""
    at = _column(table, name)
    kept = [column for column in range(len(table.classes)) if column != at]
    known = int((table.labels[:, at] != UNKNOWN).sum())
    origins = None if table.origins is None else table.origins.columns(kept)
    classes = tuple(table.classes[column] for column in kept)
    labels = made_read_only(table.labels[:, kept].copy())
    return Changed(
        replace(table, classes=classes, labels=labels, origins=origins),
        f"drop {name!r}: {known:,} known labels are left out",
    )


def split(table: LabelTable, name: str, into: Sequence[str]) -> Changed:
    """Replace a class by several; images that show it leave the calibration set, where they are labelled completely."""
    at = _column(table, name)
    if len(into) < 2 or len(set(into)) < len(into):
        raise ValueError(
            f"cannot split {name!r} into {some(into) or 'nothing'}: name two classes or more, each once"
        )
    if there := [child for child in into if child in table.classes and child != name]:
        raise ValueError(f"cannot split {name!r}: there is a class {there[0]!r} already; give another name")
    order = [*range(at), *[at] * len(into), *range(at + 1, len(table.classes))]
    classes = (*table.classes[:at], *into, *table.classes[at + 1 :])
    parent = table.labels[:, at]
    labels = table.labels[:, order]
    children: Int8[np.ndarray, "image child"] = labels[:, at : at + len(into)]
    children[children == PRESENT] = UNKNOWN
    origins = table.origins
    if origins is not None:
        origins = origins.columns(order).only(labels != UNKNOWN).without_draws(range(at, at + len(into)))
    marks = table.calibration
    if marks is not None:
        marks = tuple(mark and shown != PRESENT for mark, shown in zip(marks, parent.tolist(), strict=True))
    sentence = (
        f"split {name!r} into {some(map(repr, into))}: absent in the {int((parent == ABSENT).sum()):,} images without "
        f"{name!r}, unknown in the {int((parent == PRESENT).sum()):,} with it"
    )
    changed = replace(
        table, classes=classes, labels=made_read_only(labels.copy()), origins=origins, calibration=marks
    )
    return Changed(changed, sentence)


def with_blank_classes(table: LabelTable, names: Sequence[str]) -> LabelTable:
    """Add classes of which no label is known, after those of the table; names that it has are left out."""
    new = [name for name in dict.fromkeys(names) if name not in table.classes]
    if not new:
        return table
    blank = np.full((len(table), len(new)), UNKNOWN, np.int8)
    labels = made_read_only(np.concatenate([table.labels, blank], 1))
    origins = table.origins
    if origins is not None:
        codes = np.concatenate([origins.codes, np.zeros(blank.shape, origins.codes.dtype)], 1)
        origins = Origins(codes, origins.names)
    return replace(table, classes=(*table.classes, *new), labels=labels, origins=origins)


def _column(table: LabelTable, name: str) -> int:
    """Return the number of a class.

    Raises:
        ValueError: There is no such class.
    """
    if name not in table.classes:
        raise ValueError(
            f"there is no class {name!r}{did_you_mean(name, table.classes)}; classes: {some(table.classes, 20)}"
        )
    return table.classes.index(name)
