"""Split a table into parts for training, validation and test: every class in its share, groups kept together."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int64

from partlabel.core.labels import UNKNOWN
from partlabel.data.tables import statistics
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.splits import TRAIN


def divide(
    table: LabelTable, shares: Mapping[str, float], seed: int = 0, groups: Sequence[str] | None = None
) -> LabelTable:
    """Assign images to parts; each class keeps its share of present and of absent labels in each.

    See `statistics.split_stratified`, which draws one part; here the parts are drawn one after the other.

    Args:
        table: The table; a split that it has is ignored.
        shares: Share of the images by name of the part; the rest is `train`. Parts with a share of 0 are left out.
        seed: Random seed.
        groups: Name of the group of each image (a patient, a scene, a day): images of one group are in one part. Groups
            are drawn as images are, so parts have the requested size only if groups have similar sizes.

    Raises:
        ValueError: Shares are negative or leave nothing to train on, or there are too few images or groups.
    """
    shares = {name: share for name, share in shares.items() if share}
    if not shares or any(share < 0 for share in shares.values()) or sum(shares.values()) >= 1:
        listed = ", ".join(f"{name} {share:g}" for name, share in shares.items()) or "none"
        raise ValueError(
            f"the shares of the parts are above 0 and leave some for {TRAIN!r}; they are: {listed}"
        )
    number, labels = _units(table, groups)
    if len(labels) <= len(shares):
        what = "images" if groups is None else "groups"
        raise ValueError(f"{len(labels)} {what} are too few for {len(shares) + 1} parts")
    part = np.full(len(labels), TRAIN, dtype=object)
    for position, (name, share) in enumerate(shares.items()):
        left = np.flatnonzero(part == TRAIN)
        of_left = min(share * len(labels) / len(left), 1 - 1e-9)
        chosen = statistics.split_stratified(np.ascontiguousarray(labels[left]), of_left, seed + position)
        part[left[_some_left(chosen, len(shares) - position)]] = name
    return table.with_split(part[number].tolist())


def _units(table: LabelTable, groups: Sequence[str] | None) -> tuple[Int64[np.ndarray, "image"], np.ndarray]:
    """Build the units of the draw and their labels, present where any image of the unit is."""
    if groups is None:
        return np.arange(len(table)), table.labels
    if len(groups) != len(table):
        raise ValueError(f"{len(groups)} groups for {len(table)} images: give one an image")
    numbers = {name: position for position, name in enumerate(dict.fromkeys(groups))}
    number = np.array([numbers[name] for name in groups], np.int64)
    labels = np.full((len(numbers), len(table.classes)), UNKNOWN, np.int8)
    np.maximum.at(labels, number, table.labels)
    return number, labels


def _some_left(chosen: Bool[np.ndarray, "unit"], needed: int) -> Bool[np.ndarray, "unit"]:
    """Reduce the chosen units if fewer would be left than there are parts to come."""
    surplus = needed - int((~chosen).sum())
    if surplus > 0:
        chosen[np.flatnonzero(chosen)[-surplus:]] = False
    return chosen
