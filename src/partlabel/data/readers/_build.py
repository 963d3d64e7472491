"""Last step of every reader: resolve paths, merge rows of the same image, and put the file's name into errors."""

import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
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
from partlabel.data.tables.text_cells import clean


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
    calibration: Sequence[bool] | None = None,
    texts: Sequence[Sequence[str]] | None = None,
) -> LabelTable:
    """Build a label table from what a reader found; rows of the same image are merged if they agree.

    Args:
        source: Annotation file, for messages.
        images: Paths as written: may be absolute (inside `root`) or contain `./`; may repeat.
        classes: Class names, in the order of the columns.
        labels: Int8 codes, one row per entry of `images`; the table takes ownership of them.
        absent: `negative` turns labels that are UNKNOWN after the merge into ABSENT.
        split: One part name per entry of `images`.
        root: Image folder.
        origins: Origins of the labels, one row per entry of `images`.
        unsure: Cells that stay UNKNOWN whatever `absent` is; bool, one row per entry of `images`, and one column or one
            per class. In merged rows, a cell is unsure if it is unsure in all of them.
        suffix: Suffix to append to an id if the image folder has no such image, for formats with image ids.
        calibration: Whether each entry of `images` is in the calibration set; a merged image is, if any of its rows is.
        texts: Texts of each entry of `images`; a merged image has those of all its rows.

    Raises:
        ValueError: Anything `LabelTable` refuses, or rows of one image disagree; the message starts with the file's
            name.

    Warns:
        UserWarning: Rows were merged, or texts were cut.
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
            if calibration is not None:
                calibration = [any(calibration[row] for row in of_image) for of_image in rows.values()]
            if texts is not None:
                texts = [[text for row in of_image for text in texts[row]] for of_image in rows.values()]
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
        table = table.with_calibration(calibration)
        if texts is not None:
            table = replace(table, texts=clean(source, texts))
        return table if origins is None else table.with_origins(origins)
    except InputError as error:
        raise error.after(f"{source}: ") from None
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def require_absent(source: Path, absent: Absent | None, why: str) -> None:
    """Refuse to guess the meaning of classes that are not mentioned.

    Raises:
        ValueError: `absent` is None.
    """
    if absent is None:
        raise InputError(
            f"{source}: {why}. Specify the meaning of a class that is not mentioned: ",
            Argument("absent", "unknown"),
            " (not annotated) or ",
            Argument("absent", "negative"),
            " (annotated as absent)",
        )


def _rows_of(images: Sequence[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, image in enumerate(images):
        rows[image].append(row)
    return rows


def _by_rule(origins: Origins, cells: np.ndarray) -> Origins:
    """Mark the given cells as absent because they are not mentioned."""
    names = (*origins.names, *({NOT_MENTIONED} - {*origins.names}))
    return Origins(np.where(cells, np.uint8(names.index(NOT_MENTIONED)), origins.codes), names)


def _merged(
    rows: dict[str, list[int]],
    classes: Sequence[str],
    labels: np.ndarray,
    split: Sequence[str] | None,
    origins: Origins | None,
) -> tuple[np.ndarray, list[str] | None, Origins | None]:
    """Merge the rows of each image: a label known in any row is kept, with the origin of the first such row."""
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
    merged_origins = None if codes is None or origins is None else Origins(codes, origins.names)
    return merged, None if split is None else [split[row] for row in first], merged_origins


def _refuse_disagreement(
    image: str, rows: list[int], classes: Sequence[str], labels: np.ndarray, split: Sequence[str] | None
) -> None:
    where = f"image {image!r} is in rows {some(row + 1 for row in rows)}"
    both = (labels[rows] == PRESENT).any(axis=0) & (labels[rows] == ABSENT).any(axis=0)
    if both.any():
        disputed = some(repr(classes[column]) for column in np.flatnonzero(both).tolist())
        raise ValueError(
            f"{where}, which disagree on class {disputed}; keep one row, or leave doubtful cells empty"
        )
    if split is not None and len({split[row] for row in rows}) > 1:
        parts = some(repr(split[row]) for row in rows)
        raise ValueError(f"{where} with different splits ({parts}); an image can only be in one part")
