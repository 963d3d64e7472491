"""Training and validation sets of a label table; and tables aligned to a model's classes."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Int8

from partlabel.core.fixes import Argument, InputError
from partlabel.core.messages import did_you_mean, some
from partlabel.data.images.broken import Broken, find_broken, skip
from partlabel.data.tables import statistics
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.part_names import TRAIN, VAL, part_names, warn_of_other_parts

Find = Callable[[LabelTable], list[Broken]]


class Parts(NamedTuple):
    """Parts of a table that a run uses.

    Attributes:
        table: All images except the skipped ones, with their split.
        train: Training set.
        val: Validation set; None if there is none, and the last epoch is kept.
        skipped: Images left out.
    """

    table: LabelTable
    train: LabelTable
    val: LabelTable | None
    skipped: list[Broken]


def training_parts(
    table: LabelTable,
    val: LabelTable | None,
    share: float,
    seed: int,
    skip_broken: bool = False,
    find: Find = find_broken,
    needs_labels: bool = True,
) -> Parts:
    """Divide a table into training and validation set, and check that all images can be read.

    Args:
        table: Label table. If it has a split, its part `train` is the training set and `val` the validation set, under
            these names or those that `part_name` accepts; other parts are not used.
        val: Validation set to use instead.
        share: Fraction of the training images used for validation if there is no validation set; 0 for none.
        seed: Random seed of this selection.
        skip_broken: Leave out images that cannot be read.
        find: Function that finds the images that cannot be read.
        needs_labels: Whether a label, or a text of a photo, has to be known.

    Raises:
        ValueError: The table has parts but no `train`, none of its images has a known label or a text, or images
            cannot be read.

    Warns:
        UserWarning: A part is not train, val or test.
    """
    if table.split is not None:
        warn_of_other_parts(table.split)
        table = table.with_split(part_names(table.split))
    if table.split is not None and TRAIN not in table.parts:
        raise ValueError(
            f"the table has the parts {some(map(repr, table.parts))} and none is 'train'; rename the part to train "
            "on, or remove the split"
        )
    if table.split is None:
        table = table.with_split([TRAIN] * len(table))
    used = np.array([part in (TRAIN, VAL) for part in table.split or ()])
    table, skipped = without_broken(table, used, skip_broken, find)
    if val is not None:
        val, more = without_broken(val, np.ones(len(val), bool), skip_broken, find)
        skipped = [*skipped, *more]
    elif share > 0 and VAL not in table.parts:
        table = _set_apart(table, share, seed)
    train = table.part(TRAIN)
    if needs_labels and not train.known and not any(train.texts or ()):
        raise InputError(
            f"no label of the {len(train)} training images is known, and none has a text: label some images, present "
            "and absent classes, or give texts in which class names occur (docs/texts.md), with ",
            Argument("texts", "captions.csv"),
        )
    if val is None and share > 0 and VAL in table.parts:
        val = table.part(VAL)
    return Parts(table, train, val, skipped)


def with_val(parts: Parts) -> Parts:
    """Return the parts with the table's own part `val`, if it exists, as validation set."""
    return parts._replace(val=parts.table.part(VAL)) if VAL in parts.table.parts else parts


def without_broken(
    table: LabelTable, used: np.ndarray, skip_broken: bool, find: Find = find_broken
) -> tuple[LabelTable, list[Broken]]:
    """Return the table without the images that cannot be read, and the list of these images.

    Args:
        table: Label table with a root.
        used: Rows to check.
        skip_broken: Leave these images out instead of refusing them.
        find: Function that finds them.

    Raises:
        ValueError: Images cannot be read, and `skip_broken` is false: the message lists all of them.
        NoneReadable: `skip_broken` is true, and no image can be read.
    """
    if not used.any():
        return table, []
    broken = find(table[used])
    if broken and not skip_broken:
        listed = "\n".join(f"  {image}: {reason}" for image, reason in broken)
        raise InputError(
            f"{len(broken)} of {int(used.sum())} images cannot be read; repair them, or leave them out with ",
            Argument("skip_broken", True),
            f":\n{listed}",
        )
    return (skip(table, broken) if broken else table), broken


def aligned(table: LabelTable, classes: Sequence[str], what: str = "the table") -> LabelTable:
    """Return the table with its columns in the order of a model's classes.

    Args:
        table: Label table with its columns in any order.
        classes: Classes of the model.
        what: Name of the table in messages.

    Raises:
        ValueError: A class is in one and not in the other.
    """
    if table.classes == tuple(classes):
        return table
    there, wanted = {name: at for at, name in enumerate(table.classes)}, set(classes)
    for name in classes:
        if name not in there:
            raise ValueError(
                f"class {name!r} is in the model but not in {what}{did_you_mean(name, table.classes)}"
            )
    for name in table.classes:
        if name not in wanted:
            raise ValueError(f"class {name!r} is in {what} but not in the model{did_you_mean(name, classes)}")
    order = [there[name] for name in classes]
    origins = None if table.origins is None else table.origins.columns(order)
    return replace(table, classes=tuple(classes), labels=table.labels[:, order], origins=origins)


def truth_of(table: LabelTable, truth: LabelTable) -> Int8[np.ndarray, "image class"]:
    """Return the ground truth of a table's images, in their order.

    Raises:
        ValueError: Images are not in the ground truth.
    """
    row = {image: number for number, image in enumerate(truth.images)}
    lacking = [image for image in table.images if image not in row]
    if lacking:
        raise ValueError(
            f"{len(lacking)} of {len(table)} images are not in the ground truth: {some(lacking)}"
        )
    return truth.labels[[row[image] for image in table.images]]


def _set_apart(table: LabelTable, share: float, seed: int) -> LabelTable:
    assert table.split is not None
    split = np.array(table.split, dtype=object)
    rows = np.flatnonzero(split == TRAIN)
    chosen = statistics.split_stratified(table.labels[rows], share, seed)
    split[rows[chosen]] = VAL
    return table.with_split(split.tolist())
