"""Statistics of known labels: counts, co-occurrence, and a validation split that keeps every class."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int8, Int64

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN

MOSTLY = 0.75
"""Share of present labels among the known ones above which labels count as selected by presence."""
_BLOCK = 1 << 24  # labels at a time
_MANY_ROWS = 20_000
_COMMON = 2_000  # a column with at least this many entries is split evenly enough by chance


class Counts(NamedTuple):
    """Numbers of present, absent and unknown labels of each class."""

    present: Int64[np.ndarray, "class"]
    absent: Int64[np.ndarray, "class"]
    unknown: Int64[np.ndarray, "class"]

    @property
    def tells_presence(self) -> bool:
        """Whether labels are known mostly because they are present (`MOSTLY`).

        The share of present labels among the known ones then does not estimate the prevalence.
        """
        return bool(self.present.sum() > MOSTLY * (self.present.sum() + self.absent.sum()))


def counts(labels: Int8[np.ndarray, "image class"]) -> Counts:
    """Count present, absent and unknown labels of each class."""
    found = np.zeros((3, labels.shape[1]), np.int64)
    for block in _blocks(labels):
        found += [np.count_nonzero(block == code, axis=0) for code in (PRESENT, ABSENT, UNKNOWN)]
    return Counts(*found)


def prevalence(labels: Int8[np.ndarray, "image class"]) -> Float64[np.ndarray, " class"]:
    """Estimate P(class present) from known labels; 0 where none is known.

    For a table in which mostly present labels are known (`Counts.tells_presence`), it is the share of all images that
    are known to show the class, a lower bound.
    """
    found = counts(labels)
    asked = len(labels) if found.tells_presence else found.present + found.absent
    return found.present / np.maximum(asked, 1)


def cooccurrence(
    labels: Int8[np.ndarray, "image class"], unknown: Literal["left_out", "absent"] | None = None
) -> Float32[np.ndarray, "class class"]:
    """Estimate P(column class present | row class present) from known labels, the label graph.

    Args:
        labels: Labels of the training images.
        unknown: `left_out` uses only images where both classes are known: `#(i, j present) / #(i present, j known)`.
            `absent` is `#(i, j present) / #(i present)` as in the authors' graph, where an unknown j counts as absent,
            so that with a share p of known labels the graph is p times too weak. None is `absent` for a table of mostly
            present labels (`Counts`), where j is known because it is present and the graph would be all ones, else
            `left_out`.

    Returns:
        1 on the diagonal; 0 where nothing is known, so that a class that is never present has no neighbours.
    """
    together, asked = present_with(labels)
    if unknown == "absent" or (unknown is None and counts(labels).tells_presence):
        asked = np.broadcast_to(np.diag(together)[:, None], together.shape)
    graph = np.divide(together, asked, out=np.zeros_like(together), where=asked > 0)
    np.fill_diagonal(graph, 1)
    return graph.astype(np.float32)


def count_together(
    labels: Int8[np.ndarray, "image class"],
) -> tuple[Float64[np.ndarray, "class class"], Float64[np.ndarray, "class class"]]:
    """Count the images in which two classes are both present, and those in which both are known."""
    classes = labels.shape[1]
    both_present, both_known = np.zeros((classes, classes)), np.zeros((classes, classes))
    for block in _blocks(labels):
        for matrix, of in ((both_present, block == PRESENT), (both_known, block != UNKNOWN)):
            ones = of.astype(np.float32)
            matrix += ones.T @ ones
    return both_present, both_known


def split_stratified(
    labels: Int8[np.ndarray, "image class"], share: float, seed: int = 0
) -> Bool[np.ndarray, "image"]:
    """Select images for validation, so that each class keeps its share of present and of absent labels.

    Iterative stratification (Sechidis et al., 2011) on the columns [present, absent]; on -1 / 0 / 1 it would silently
    compute something else. In large tables only the columns with few entries need it, and the others are split at
    random. Then single images move so that a class with two or more present labels has one on either side, unless
    another class would lose its last one in training; a class with a single present label has it in training.

    Args:
        labels: Labels of all images.
        share: Share of the images to select, in (0, 1); at least one image, and not all.
        seed: Random seed; the same seed gives the same split.

    Returns:
        True for validation.

    Raises:
        ValueError: `share` is not in (0, 1), or there are fewer than two images.
    """
    if not 0 < share < 1:
        raise ValueError(f"the share of a validation split is between 0 and 1, not {share}")
    if len(labels) < 2:
        raise ValueError(f"{len(labels)} image(s) cannot be split in two")
    aside = _draw(labels, share, seed)
    _leave_none_empty(aside, np.random.RandomState(seed))
    _keep_classes(aside, labels == PRESENT)
    return aside


def present_with(
    labels: Int8[np.ndarray, "image class"],
) -> tuple[Float64[np.ndarray, "class class"], Float64[np.ndarray, "class class"]]:
    """Count `#(row present, column present)` and `#(row present, column known)`."""
    classes = labels.shape[1]
    together, asked = np.zeros((classes, classes)), np.zeros((classes, classes))
    for block in _blocks(labels):
        block = block[(block == PRESENT).any(axis=1)]  # the others add nothing
        present, known = (block == PRESENT).astype(np.float32), (block != UNKNOWN).astype(np.float32)
        together += present.T @ present
        asked += present.T @ known
    return together, asked


def _blocks(labels: Int8[np.ndarray, "image class"]) -> Iterator[Int8[np.ndarray, "row class"]]:
    rows = max(1, _BLOCK // max(labels.shape[1], 1))
    for start in range(0, len(labels), rows):
        yield labels[start : start + rows]


def _draw(labels: Int8[np.ndarray, "image class"], share: float, seed: int) -> Bool[np.ndarray, "image"]:
    """Stratify the images in columns that need it, and draw the others at random."""
    from iterstrat.ml_stratifiers import MultilabelStratifiedShuffleSplit

    rows, columns = _indicators(labels)
    others = np.ones(len(labels), bool)
    others[rows] = False
    aside = _even(others, share, np.random.RandomState(seed))
    if len(rows) < 2:
        return aside
    size = min(max(round(share * len(rows)), 1), len(rows) - 1)
    splitter = MultilabelStratifiedShuffleSplit(n_splits=1, test_size=size, random_state=seed)
    _, chosen = next(splitter.split(rows, columns))
    aside[rows[chosen]] = True
    return aside


def _indicators(
    labels: Int8[np.ndarray, "image class"],
) -> tuple[Int64[np.ndarray, "row"], Bool[np.ndarray, "row column"]]:
    """Select the columns [present, absent] to stratify by (in a large table the rare ones) and their rows."""
    total = counts(labels)
    wanted = [
        (code, (amounts > 0) & ((amounts < _COMMON) | (len(labels) <= _MANY_ROWS)))
        for code, amounts in ((PRESENT, total.present), (ABSENT, total.absent))
    ]
    rows, found, start = [], [], 0
    for block in _blocks(labels):
        here = np.concatenate([(block == code)[:, columns] for code, columns in wanted], axis=1)
        matter = np.flatnonzero(here.any(axis=1))
        rows.append(start + matter)
        found.append(here[matter])
        start += len(block)
    columns = np.concatenate(found)
    # A single column is no multi-label matrix to the splitter: the same one twice is.
    return np.concatenate(rows), np.repeat(columns, 2, axis=1) if columns.shape[1] == 1 else columns


def _even(
    of: Bool[np.ndarray, "image"], share: float, random: np.random.RandomState
) -> Bool[np.ndarray, "image"]:
    """Mark a share of the images."""
    rows = np.flatnonzero(of)
    drawn = np.zeros(len(of), bool)
    drawn[random.permutation(rows)[: round(share * len(rows))]] = True
    return drawn


def _leave_none_empty(aside: Bool[np.ndarray, "image"], random: np.random.RandomState) -> None:
    """Leave at least one image on either side."""
    if aside.all() or not aside.any():
        aside[random.randint(len(aside))] ^= True


def _keep_classes(aside: Bool[np.ndarray, "image"], present: Bool[np.ndarray, "image class"]) -> None:
    """Move single images so that each class is present on either side, and the only image of a class is in training."""
    total, inside = present.sum(axis=0), present[aside].sum(axis=0)
    for column in np.argsort(total, kind="stable"):
        gone = inside[column] == total[column]  # from training
        if total[column] == 0 or (not gone and inside[column] > 0) or (total[column] == 1 and not gone):
            continue
        here = (
            inside if gone else total - inside
        )  # how many of each class the side has that gives an image away
        rows = np.flatnonzero(present[:, column] & (aside == gone))
        needed = (present[rows] & (here == 1)).sum(axis=1) - (here[column] == 1)
        row = rows[needed.argmin()]
        if (aside.sum() == 1 and gone) or (needed.min() > 0 and not gone):
            continue
        aside[row] = not gone
        inside = inside + (-1 if gone else 1) * present[row]
