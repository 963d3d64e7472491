"""Label tables from lists of names: for each image the present and absent classes, and whether it was annotated."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from partlabel.core.fixes import InputError, InputWarning, ReaderArgument
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.messages import did_you_mean, some
from partlabel.data.readers._build import build_table
from partlabel.data.readers._cells import is_null, refuse_implausible
from partlabel.data.tables.label_table import Absent, LabelTable
from partlabel.data.tables.provenance import NOT_MENTIONED, Origins


class Found(NamedTuple):
    """Labels that a file gives for an image.

    Attributes:
        image: Path as written.
        present: Classes that are present.
        absent: Classes that are known to be absent.
        looked: Whether the image was annotated; otherwise no class is absent because it is not mentioned.
        unsure: Classes that stay unknown, whatever `absent` is.
        where: Position in the file, for messages.
        origin: Origin of all labels, or of each class; empty if the file does not distinguish origins.
        texts: Texts about the image.
    """

    image: str
    present: Collection[str]
    absent: Collection[str] = ()
    looked: bool = True
    unsure: Collection[str] = ()
    where: str = ""
    origin: str | Mapping[str, str] = ""
    texts: Collection[str] = ()


def table(
    source: Path,
    found: Sequence[Found],
    classes: Sequence[str] | None,
    absent: Absent | None,
    root: Path | None,
    split: Sequence[str] | None = None,
) -> LabelTable:
    """Build the label table of the entries found.

    Args:
        source: Annotation file, for messages.
        found: One entry per image; entries of the same image must agree.
        classes: All classes in their order; by default those that occur, in alphabetical order.
        absent: `negative` makes absent what is not mentioned for an annotated image.
        root: Image folder.
        split: One part name per entry of `found`.

    Raises:
        ValueError: A name is not a class, or a class of an image is both present and absent.
    """
    if classes is None:
        found = plausible(source, found)
    occur = {name for each in found for name in (*each.present, *each.absent)}
    columns = list(classes) if classes is not None else sorted(occur)
    _refuse_strangers(source, found, columns)
    number = {name: position for position, name in enumerate(columns)}
    labels = np.full((len(found), len(columns)), UNKNOWN, np.int8)
    for row, each in enumerate(found):
        both = sorted(set(each.present) & set(each.absent))
        if both:
            raise ValueError(
                f"{source}: {_place(each)} has class {some(map(repr, both))} both as present and as absent; remove "
                "it from one"
            )
        if absent == "negative" and each.looked:
            labels[row] = ABSENT
            labels[row, [number[name] for name in each.unsure if name in number]] = UNKNOWN
        labels[row, [number[name] for name in each.absent]] = ABSENT
        labels[row, [number[name] for name in each.present]] = PRESENT
    origins = _origins(found, columns, labels)
    return build_table(
        source,
        [each.image for each in found],
        columns,
        labels,
        split=split,
        root=root,
        origins=origins,
        texts=[list(each.texts) for each in found] if any(each.texts for each in found) else None,
    )


def plausible(source: Path, found: Sequence[Found]) -> list[Found]:
    """Check that names in a file are plausible class names; remove words for missing values.

    Args:
        source: Annotation file, for messages.
        found: One entry per image.

    Returns:
        The same entries; an image with missing values only counts as not annotated.

    Raises:
        ValueError: A name is not a plausible class name.

    Warns:
        UserWarning: Words for a missing value were removed.
    """
    places: dict[str, str] = {}
    missing: dict[str, int] = {}
    kept = []
    for each in found:
        for name in (*each.present, *each.absent):
            if is_null(name):
                missing[name] = missing.get(name, 0) + 1
            elif name not in places:
                places[name] = _place(each)
        present, absent = ([name for name in of if not is_null(name)] for of in (each.present, each.absent))
        lost = len(present) + len(absent) < len(each.present) + len(each.absent)
        looked = each.looked and not (lost and not present and not absent)
        kept.append(each._replace(present=present, absent=absent, looked=looked) if lost else each)
    refuse_implausible(source, places)
    if missing:
        warnings.warn(
            InputWarning(
                f"{source}: {some(map(repr, sorted(missing)))} is read as a missing value, {sum(missing.values())} "
                "time(s); an image without other names stays unknown. If it is a class, name all classes with ",
                ReaderArgument("classes", placeholder="'[...]'"),
            ),
            stacklevel=5,
        )
    return kept


def _origins(found: Sequence[Found], columns: Sequence[str], labels: np.ndarray) -> Origins | None:
    """Return the origins of the labels; None if the file does not give any."""
    per_image = [{each.origin} if isinstance(each.origin, str) else {*each.origin.values()} for each in found]
    names = sorted(set().union(*per_image) - {""})
    if not names:
        return None
    names += [] if NOT_MENTIONED in names else [NOT_MENTIONED]
    code = {name: number for number, name in enumerate(["", *names])}
    position = {name: number for number, name in enumerate(columns)}
    codes = np.zeros(labels.shape, np.uint8)
    for row, each in enumerate(found):
        if isinstance(each.origin, str):
            codes[row] = code[each.origin]
            continue
        known_columns = [position[name] for name in (*each.present, *each.absent)]
        codes[row] = code[NOT_MENTIONED]
        codes[row, known_columns] = [
            code[each.origin.get(name, "")] for name in (*each.present, *each.absent)
        ]
    return Origins.of_numbers(np.where(labels == UNKNOWN, np.uint8(0), codes), ("", *names))


def _refuse_strangers(source: Path, found: Sequence[Found], columns: Sequence[str]) -> None:
    known = set(columns)
    strange = {
        name: each for each in reversed(found) for name in (*each.present, *each.absent) if name not in known
    }
    if strange:
        name = sorted(strange)[0]
        raise InputError(
            f"{source}: {len(strange)} name(s) are not among the classes: {some(map(repr, sorted(strange)))}"
            f"{did_you_mean(name, columns)}, the first in {_place(strange[name])}; correct them or add them to ",
            ReaderArgument("classes", placeholder="'[...]'"),
        )


def _place(each: Found) -> str:
    return f"{each.where + ', ' if each.where else ''}image {each.image!r}"
