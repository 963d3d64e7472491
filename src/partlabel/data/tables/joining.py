"""The table of a run and a table of labels for new classes become one table.

Known labels of the run's table stay. A label that only the other table knows is added, also for an old class; where
both know an old class and differ, the run's label stays and the difference is counted. There is no calibration set any
more: its images are not labelled completely for the new classes.
"""

import os.path
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from partlabel.core.labels import UNKNOWN
from partlabel.data.tables.label_table import LabelTable, made_read_only
from partlabel.data.tables.part_names import TRAIN, part_names
from partlabel.data.tables.provenance import Origins


class Join(NamedTuple):
    """A table of two.

    Attributes:
        table: Old classes, then new ones; the images of the run first.
        new_images: Number of images that the run's table does not have.
        old_labels: Number of labels of old classes that only the other table knows.
        differing: Number of labels of old classes on which the tables differ.
    """

    table: LabelTable
    new_images: int
    old_labels: int
    differing: int


def join(before: LabelTable | None, more: LabelTable, classes: Sequence[str], new: Sequence[str]) -> Join:
    """Join the table of a run with a table that has labels of new classes.

    Images without a part belong to `train`. Image folders may differ: names are then relative to their common folder.

    Args:
        before: Label table of the run, with its columns in any order; None where there is none.
        more: Table with the new classes; old ones may be among its columns.
        classes: Old classes.
        new: New classes, which are columns of `more`.
    """
    root = _common_root(before, more)
    tables = [moved(each, root) for each in (before, more) if each is not None]
    row = {name: at for at, name in enumerate(dict.fromkeys(name for each in tables for name in each.images))}
    names = (*classes, *new)
    labels = np.full((len(row), len(names)), UNKNOWN, np.int8)
    numbers = np.zeros(labels.shape, np.int64)
    sources, old_labels, differing = [""], 0, 0
    for each in tables:
        rows = np.array([row[name] for name in each.images])
        columns = [(at, each.classes.index(name)) for at, name in enumerate(names) if name in each.classes]
        for at, column in columns:
            known, there = each.labels[:, column], labels[rows, at]
            taken = (there == UNKNOWN) & (known != UNKNOWN)
            if each is tables[-1] and at < len(classes):
                old_labels += int(taken.sum())
                differing += int(((there != UNKNOWN) & (known != UNKNOWN) & (there != known)).sum())
            labels[rows[taken], at] = known[taken]
            if each.origins is not None:
                numbers[rows[taken], at] = _numbered(each.origins, sources)[each.origins.codes[taken, column]]
    split = _split(tables, row)
    table = LabelTable(tuple(row), names, made_read_only(labels), split, root)
    if any(numbers.flat):
        table = table.with_origins(Origins.of_numbers(numbers, sources))
    table = replace(table, texts=_texts(tables, row))
    return Join(table, len(row) - (0 if before is None else len(before)), old_labels, differing)


def _numbered(origins: Origins, sources: list[str]) -> np.ndarray:
    """Return the number of each source of a table among all sources, which grow."""
    sources += [name for name in origins.names if name not in sources]
    return np.array([sources.index(name) for name in origins.names])


def _common_root(before: LabelTable | None, more: LabelTable) -> Path | None:
    """Return the image folder of both tables; a folder above both where they have different ones."""
    roots = [Path(each.root) for each in (before, more) if each is not None and each.root is not None]
    if len({root.resolve() for root in roots}) <= 1:
        return roots[0] if roots else None
    return Path(os.path.commonpath([str(root.resolve()) for root in roots]))


def moved(table: LabelTable, root: Path | None) -> LabelTable:
    """Return the table with its image names relative to a folder above its own."""
    if table.root is None or root is None or table.root.resolve() == root.resolve():
        return table
    between = table.root.resolve().relative_to(root.resolve()).as_posix()
    return replace(table, images=tuple(f"{between}/{name}" for name in table.images), root=root)


def _split(tables: Sequence[LabelTable], row: dict[str, int]) -> tuple[str, ...]:
    """Return the part of each image: that of the first table that has one."""
    found = [""] * len(row)
    for each in tables:
        parts = part_names(each.split) if each.split is not None else [TRAIN] * len(each)
        for name, part in zip(each.images, parts, strict=True):
            found[row[name]] = found[row[name]] or part
    return tuple(found)


def _texts(tables: Sequence[LabelTable], row: dict[str, int]) -> tuple[tuple[str, ...], ...] | None:
    """Return the texts of each image: those of the first table that has any."""
    if all(each.texts is None for each in tables):
        return None
    found: list[tuple[str, ...]] = [()] * len(row)
    for each in tables:
        for name, texts in zip(each.images, each.texts or (), strict=False):
            found[row[name]] = found[row[name]] or tuple(texts)
    return tuple(found)
