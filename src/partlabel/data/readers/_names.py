"""For formats that say of each image by name what is present, what is absent, and whether anybody looked."""

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
    """What a file says of an image.

    Attributes:
        image: As written.
        present: Classes that are there.
        absent: Classes that are known not to be there.
        looked: Whether anybody went through the classes at all: without that, nothing is absent for want of mention.
        unsure: Classes that stay unknown, whatever a missing mention means.
        where: In the file, for messages.
        origin: Where all of it comes from, or what of each class; empty where the file does not tell things apart.
    """

    image: str
    present: Collection[str]
    absent: Collection[str] = ()
    looked: bool = True
    unsure: Collection[str] = ()
    where: str = ""
    origin: str | Mapping[str, str] = ""


def table(
    source: Path,
    found: Sequence[Found],
    classes: Sequence[str] | None,
    absent: Absent | None,
    root: Path | None,
    split: Sequence[str] | None = None,
) -> LabelTable:
    """The label table of what was found.

    Args:
        source: The file, for messages.
        found: One an image; an image may come again, and has to agree.
        classes: All in their order; without it, those that occur, in alphabetical order.
        absent: `negative` makes absent what is not mentioned of an image that somebody looked at.
        root: The image folder.
        split: One an entry of `found`.

    Raises:
        ValueError: A name is no class, or a class of an image is both present and absent.
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
                f"{source}: {_place(each)} has class {some(map(repr, both))} both as present and as absent; "
                "take it out of one"
            )
        if absent == "negative" and each.looked:
            labels[row] = ABSENT
            labels[row, [number[name] for name in each.unsure if name in number]] = UNKNOWN
        labels[row, [number[name] for name in each.absent]] = ABSENT
        labels[row, [number[name] for name in each.present]] = PRESENT
    origins = _origins(found, columns, labels)
    return build_table(
        source, [each.image for each in found], columns, labels, split=split, root=root, origins=origins
    )


def plausible(source: Path, found: Sequence[Found]) -> list[Found]:
    """See that what a file mentions are class names, where nobody listed them; words for a missing value are left out.

    Args:
        source: The file, for messages.
        found: One an image.

    Returns:
        The same; an image that has nothing but missing values was not looked at.

    Raises:
        ValueError: A name is plausibly no class name.

    Warns:
        UserWarning: Words for a missing value were left out.
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
                f"{source}: {some(map(repr, sorted(missing)))} is taken for a missing value, {sum(missing.values())} "
                "time(s); an image that has nothing else stays unknown. If it is a class, name all classes with ",
                ReaderArgument("classes", placeholder="'[...]'"),
            ),
            stacklevel=5,
        )
    return kept


def _origins(found: Sequence[Found], columns: Sequence[str], labels: np.ndarray) -> Origins | None:
    """Where labels come from; None where a file does not say."""
    told = [{each.origin} if isinstance(each.origin, str) else {*each.origin.values()} for each in found]
    names = sorted(set().union(*told) - {""})
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
        said = [position[name] for name in (*each.present, *each.absent)]
        codes[row] = code[NOT_MENTIONED]
        codes[row, said] = [code[each.origin.get(name, "")] for name in (*each.present, *each.absent)]
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
            f"{did_you_mean(name, columns)}, the first in {_place(strange[name])}; mend them or add them to ",
            ReaderArgument("classes", placeholder="'[...]'"),
        )


def _place(each: Found) -> str:
    return f"{each.where + ', ' if each.where else ''}image {each.image!r}"
