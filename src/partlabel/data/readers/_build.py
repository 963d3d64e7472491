"""What every reader ends with: paths made relative, rows of one image merged, errors that name the file."""

import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from partlabel.core.fixes import Argument, InputError
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.messages import some
from partlabel.data.images.paths import resolve
from partlabel.data.tables.label_table import Absent, LabelTable, made_read_only
from partlabel.data.tables.part_names import part_names
from partlabel.data.tables.provenance import NOT_MENTIONED, Origins


def build_table(
    source: Path,
    images: Sequence[str],
    classes: Sequence[str],
    labels: np.ndarray,
    *,
    absent: Absent | None = None,
    split: Sequence[str] | None = None,
    root: Path | None = None,
    origins: Origins | None = None,
    unsure: np.ndarray | None = None,
    suffix: str | None = None,
) -> LabelTable:
    """A label table from what a reader found; rows of the same image are merged where they agree.

    Args:
        source: The file, for messages.
        images: As written: may be absolute (inside `root`) or hold `./`; an image may come more than once.
        classes: The columns.
        labels: Int8 codes, one row an entry of `images`; they are the table's from now on.
        absent: `negative` turns what is UNKNOWN after the merge into ABSENT.
        split: One name an entry of `images`.
        root: The image folder.
        origins: Of the labels, one row an entry of `images`.
        unsure: Cells that stay UNKNOWN, whatever `absent` says; bool, one row an entry of `images`, and one column or
            as many as classes. Of rows of one image, what is so in all.
        suffix: For formats that name images by an id: what is added where the image folder has no such image.

    Raises:
        ValueError: Anything `LabelTable` refuses, or rows of one image that disagree, with the file's name before it.

    Warns:
        UserWarning: Rows were merged.
    """
    try:
        images = resolve(source, images, root, suffix)
        split = None if split is None else part_names(split)
        if pl.Series(images, dtype=pl.String).n_unique() < len(images):
            rows = _rows_of(images)
            labels, split, origins = _merged(rows, classes, labels, split, origins)
            warnings.warn(
                f"{source}: {len(images) - len(rows)} row(s) name an image again and agree with its first row; merged",
                stacklevel=5,
            )
            if unsure is not None:
                unsure = np.array([unsure[of_image].all(axis=0) for of_image in rows.values()])
            images = list(rows)
        if absent == "negative":
            blank = labels == UNKNOWN
            if unsure is not None:
                blank &= ~unsure
            if origins is not None:
                origins = _by_rule(origins, blank)
            labels[blank] = ABSENT
        split = None if split is None else tuple(split)
        table = LabelTable(tuple(images), tuple(classes), made_read_only(labels), split, root)
        return table if origins is None else table.with_origins(origins)
    except InputError as error:
        raise error.after(f"{source}: ") from None
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def require_absent(source: Path, absent: Absent | None, why: str) -> None:
    """Refuse to guess what a missing mention means.

    Raises:
        ValueError: `absent` is None.
    """
    if absent is None:
        raise InputError(
            f"{source}: {why}. Say what it means that a class is not mentioned: ",
            Argument("absent", "unknown"),
            " (nobody said) or ",
            Argument("absent", "negative"),
            " (somebody looked, and it is not there)",
        )


def _rows_of(images: Sequence[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, image in enumerate(images):
        rows[image].append(row)
    return rows


def _by_rule(origins: Origins, cells: np.ndarray) -> Origins:
    """The origins, where some labels are absent for want of mention."""
    names = (*origins.names, *({NOT_MENTIONED} - {*origins.names}))
    return Origins(np.where(cells, np.uint8(names.index(NOT_MENTIONED)), origins.codes), names)


def _merged(
    rows: dict[str, list[int]],
    classes: Sequence[str],
    labels: np.ndarray,
    split: Sequence[str] | None,
    origins: Origins | None,
) -> tuple[np.ndarray, list[str] | None, Origins | None]:
    """One row an image: what any of its rows knows, and where the first that knows it has it from."""
    first = [of_image[0] for of_image in rows.values()]
    merged = labels[first]
    codes = None if origins is None else origins.codes[first]
    for position, (image, of_image) in enumerate(rows.items()):
        if len(of_image) == 1:
            continue
        _refuse_disagreement(image, of_image, classes, labels, split)
        merged[position] = labels[of_image].max(axis=0)
        if codes is not None and origins is not None:
            knows = labels[of_image].argmax(axis=0)
            codes[position] = origins.codes[of_image][knows, np.arange(labels.shape[1])]
    told = None if codes is None or origins is None else Origins(codes, origins.names)
    return merged, None if split is None else [split[row] for row in first], told


def _refuse_disagreement(
    image: str, rows: list[int], classes: Sequence[str], labels: np.ndarray, split: Sequence[str] | None
) -> None:
    where = f"image {image!r} is in rows {some(row + 1 for row in rows)}"
    both = (labels[rows] == PRESENT).any(axis=0) & (labels[rows] == ABSENT).any(axis=0)
    if both.any():
        disputed = some(repr(classes[column]) for column in np.flatnonzero(both).tolist())
        raise ValueError(
            f"{where}, which disagree on class {disputed}; keep one row, or blank what is in doubt"
        )
    if split is not None and len({split[row] for row in rows}) > 1:
        parts = some(repr(split[row]) for row in rows)
        raise ValueError(f"{where} with different splits ({parts}); an image can only be in one part")
