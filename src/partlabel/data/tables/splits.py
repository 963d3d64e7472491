"""From a label table to what is trained on and what chooses the epoch; and tables put in a model's terms."""

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
    """What a run uses of a table.

    Attributes:
        table: All of it but what was skipped, its split saying what is what.
        train: What is trained on.
        val: What chooses the epoch; None where the last is kept.
        skipped: The images left out.
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
) -> Parts:
    """Find what to train on and what chooses the epoch, and see that all images can be read.

    Args:
        table: With a split, its part `train` is trained on and `val` chooses the epoch, by these names or those that
            `part_name` takes for them; others are left alone.
        val: Chooses the epoch instead.
        share: Of the training images, set apart for that where there is neither; 0 sets none apart.
        seed: Of that draw.
        skip_broken: Leave out images that cannot be read.
        find: Finds the images that cannot be read.

    Raises:
        ValueError: The table has parts and none is `train`, nothing is known in it, or images cannot be read.

    Warns:
        UserWarning: A part is none of train, val and test.
    """
    if table.split is not None:
        warn_of_other_parts(table.split)
        table = table.with_split(part_names(table.split))
    if table.split is not None and TRAIN not in table.parts:
        raise ValueError(
            f"the table has the parts {some(map(repr, table.parts))} and none is 'train'; "
            "name the one to train on so, or drop the split"
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
    if not train.known:
        raise ValueError(f"nothing is known of the {len(train)} training images: every label is blank")
    if val is None and share > 0 and VAL in table.parts:
        val = table.part(VAL)
    return Parts(table, train, val, skipped)


def with_val(parts: Parts) -> Parts:
    """The parts, with the table's own part `val` for a validation set, where it has one."""
    return parts._replace(val=parts.table.part(VAL)) if VAL in parts.table.parts else parts


def without_broken(
    table: LabelTable, used: np.ndarray, skip_broken: bool, find: Find = find_broken
) -> tuple[LabelTable, list[Broken]]:
    """The table without the images that cannot be read, and those.

    Args:
        table: With a root.
        used: Which rows to look at.
        skip_broken: Leave them out rather than refuse.
        find: Finds them.

    Raises:
        ValueError: Images cannot be read, and are not to be left out: all are listed.
        NoneReadable: They are to be left out, and no image can be read.
    """
    if not used.any():
        return table, []
    broken = find(table[used])
    if broken and not skip_broken:
        listed = "\n".join(f"  {image}: {reason}" for image, reason in broken)
        raise InputError(
            f"{len(broken)} of {int(used.sum())} images cannot be read; mend them, or leave them out by ",
            Argument("skip_broken", True),
            f":\n{listed}",
        )
    return (skip(table, broken) if broken else table), broken


def aligned(table: LabelTable, classes: Sequence[str], what: str = "the table") -> LabelTable:
    """The table with its columns in the order of a model's classes.

    Args:
        table: Its columns in any order.
        classes: The model's.
        what: Names the table in messages.

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
    """What the truth says of the images of a table, in its order.

    Raises:
        ValueError: Images are not in the truth.
    """
    row = {image: number for number, image in enumerate(truth.images)}
    lacking = [image for image in table.images if image not in row]
    if lacking:
        raise ValueError(f"{len(lacking)} of {len(table)} images are not in the truth: {some(lacking)}")
    return truth.labels[[row[image] for image in table.images]]


def _set_apart(table: LabelTable, share: float, seed: int) -> LabelTable:
    assert table.split is not None
    split = np.array(table.split, dtype=object)
    rows = np.flatnonzero(split == TRAIN)
    chosen = statistics.split_stratified(table.labels[rows], share, seed)
    split[rows[chosen]] = VAL
    return table.with_split(split.tolist())
