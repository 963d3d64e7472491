"""Validation of the content of a label table; every message names the value and the fix."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import polars as pl

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.messages import some
from partlabel.data.tables.text_cells import SAYING_NOTHING

CALIBRATION = "calibration"
RESERVED = ("image", "split", CALIBRATION)
T = TypeVar("T")
SOURCE = ":source"
COMPANIONS = (":p", SOURCE)
CODES = f"{PRESENT} present, {ABSENT} absent, {UNKNOWN} unknown"
# Empty, absolute, a Windows drive, a step to here or up, a doubled or trailing slash.
NOT_PLAIN = r"^$|^/|^[A-Za-z]:[/\\]|(^|/)\.\.?(/|$)|//|/$"
CONTROL = r"\p{Cc}"
_A_WORD = r"[\p{L}\p{So}]"


def check_images(images: Sequence[str]) -> None:
    """Check that there are image paths, unique, relative to the image folder and inside it.

    Raises:
        ValueError: They are not.
    """
    if not images:
        raise ValueError(
            "a label table without images: an empty file, an empty folder, or a selection of no rows"
        )
    if broken := [image for image in images if not is_text(image)]:
        raise ValueError(
            f"{len(broken)} image path(s) with bytes that are not UTF-8, or half a character: "
            f"{some(map(ascii, broken))}; rename them"
        )
    paths = pl.Series(images, dtype=pl.String)
    wrong = paths.filter(paths.str.contains(NOT_PLAIN))
    if len(wrong):
        raise ValueError(
            f"{len(wrong)} image path(s) do not stay inside the image folder: {some(map(repr, wrong.to_list()))}; "
            "write them relative to it, with / between folders and without '.' and '..'"
        )
    wrong = paths.filter(paths.str.contains(CONTROL))
    if len(wrong):
        raise ValueError(
            f"image path(s) with control characters, rename them: {some(map(repr, wrong.to_list()))}"
        )
    if paths.n_unique() != len(paths):
        twice = paths.filter(paths.is_duplicated()).unique(maintain_order=True).to_list()
        raise ValueError(
            f"{len(twice)} image(s) have more than one row: {some(map(repr, twice))}; keep one row each"
        )


def is_text(name: str) -> bool:
    """Return whether a name can be encoded: JSON, and file names that are not UTF-8, can contain lone surrogates."""
    return name.isprintable() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def repeated(things: Iterable[T]) -> list[T]:
    """Return the values that occur more than once, each once, sorted."""
    return sorted((thing for thing, times in Counter(things).items() if times > 1), key=str)


def check_classes(classes: Sequence[str]) -> None:
    """Check that class names are not empty, unique, and usable as columns of the table's file.

    Raises:
        ValueError: They are not.
    """
    for position, name in enumerate(classes):
        fault = fault_of_class(name)
        if fault:
            raise ValueError(f"class {position} of {len(classes)}, {name!r}, {fault}; rename it")
    if len(set(classes)) != len(classes):
        twice = repeated(classes)
        raise ValueError(
            f"class name(s) used more than once: {some(map(repr, twice))}; rename or merge the columns"
        )


def check_labels(labels: Any, images: Sequence[str], classes: Sequence[str]) -> None:
    """Check that labels are an int8 matrix of PRESENT, ABSENT, UNKNOWN, one row per image and one column per class.

    Raises:
        TypeError: They are not a numpy array of int8; for floats the message explains how to convert NaN.
        ValueError: The shape does not match, or a label is not one of the three values.
    """
    if not isinstance(labels, np.ndarray):
        raise TypeError(f"labels are a {type(labels).__name__}, not a numpy array of int8 ({CODES})")
    if labels.dtype != np.int8:
        raise TypeError(_wrong_type(labels))
    if labels.shape != (len(images), len(classes)):
        raise ValueError(
            f"labels are {labels.shape}, but there are {len(images)} images and {len(classes)} classes: "
            "one row per image, one column per class"
        )
    if labels.min(initial=UNKNOWN) < UNKNOWN or labels.max(initial=UNKNOWN) > PRESENT:
        wrong = (labels < UNKNOWN) | (labels > PRESENT)
        row, column = np.argwhere(wrong)[0]
        raise ValueError(
            f"{int(wrong.sum())} label(s) are not one of {CODES}; the first is {labels[row, column]} "
            f"for image {images[row]!r}, class {classes[column]!r}"
        )


def check_split(split: Sequence[str], images: Sequence[str]) -> None:
    """Check that there is one part name per image, without control characters.

    Raises:
        ValueError: The number of names differs, or a name has control characters.
    """
    if len(split) != len(images):
        raise ValueError(f"{len(split)} split names for {len(images)} images: give one per image")
    names = pl.Series(sorted(set(split)), dtype=pl.String)
    wrong = names.filter(names.str.contains(CONTROL)).to_list()
    if wrong:
        raise ValueError(f"split name(s) with control characters, rename them: {some(map(repr, wrong))}")


def check_texts(texts: Any, images: Sequence[str]) -> None:
    """Check that there is one tuple of texts per image, and that each text can be stored as a line.

    Raises:
        TypeError: They are not tuples of strings.
        ValueError: The number of tuples differs, or a text has no words or has control characters.
    """
    if not isinstance(texts, tuple) or not all(type(of_image) is tuple for of_image in texts):
        raise TypeError(
            "texts are not a tuple with a tuple of strings for each image; with_texts() makes them so"
        )
    if len(texts) != len(images):
        raise ValueError(f"texts of {len(texts)} images for {len(images)} images: give one tuple per image")
    listed = list(chain.from_iterable(texts))
    if others := [text for text in listed if not isinstance(text, str)]:
        raise TypeError(f"a text is {type(others[0]).__name__}, not a string: {others[0]!r}")
    if broken := [text for text in listed if not is_text(text)]:
        raise ValueError(f"a text has half of a character: {broken[0]!a}; with_texts() cleans texts")
    column = pl.Series(listed, dtype=pl.String)
    wrong = column.str.contains(CONTROL) | ~column.str.contains(_A_WORD)
    wrong |= column.str.to_lowercase().is_in(list(SAYING_NOTHING))
    if wrong.any():
        raise ValueError(
            f"{int(wrong.sum())} text(s) have no words, or control characters: "
            f"{some(map(repr, column.filter(wrong).to_list()))}; with_texts() cleans texts"
        )


def fault_of_class(name: str) -> str:
    """Explain why a name cannot be a column of the table's file; return an empty string if it can."""
    if not name.strip():
        return "is empty"
    if name != name.strip():
        return "has spaces around it"
    if name in RESERVED:
        return "is the name of a column that is reserved in the table's file"
    if name.endswith(COMPANIONS):
        return f"ends in {' or '.join(COMPANIONS)}, which marks the columns of a filled table"
    if name.isprintable():  # true of nearly all names, and fast
        return ""
    if any(unicodedata.category(letter) == "Cc" for letter in name):
        return "has control characters"
    if not is_text(name):
        return "has half of a character (a lone surrogate)"
    return ""


def _wrong_type(labels: np.ndarray) -> str:
    problem = f"labels are {labels.dtype}; a label table holds int8: {CODES}"
    if labels.dtype.kind == "f":
        return f"{problem}. For NaN as unknown: np.where(np.isnan(x), {UNKNOWN}, x).astype(np.int8)"
    if labels.dtype == bool:
        return f"{problem}. If False means absent: x.astype(np.int8)"
    return f"{problem}. If these are the codes: x.astype(np.int8); if -1 means absent and 0 unknown, swap them first"
