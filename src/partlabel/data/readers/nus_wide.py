"""NUS-WIDE (Chua et al., CIVR 2009): lists of images, and for every concept a file with 1 or 0 for each image.

`ImageList/TrainImagelist.txt` and `TestImagelist.txt` name the images, `TrainTestLabels/Labels_<concept>_Train.txt` and
`_Test.txt` have a line for each of them, also inside `Groundtruth/`. Without these, `ImageList/Imagelist.txt` and
`AllLabels/Labels_<concept>.txt` are read, which have no parts.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.messages import did_you_mean, some
from partlabel.core.text_files import lines_of, listed_in
from partlabel.data.readers import _folders
from partlabel.data.readers._build import build_table
from partlabel.data.tables.label_table import Absent, LabelTable

ABSENCE = {
    "unknown": "absent is 0 in the file of a concept; what is neither 1 nor 0 is unknown",
    "negative": "absent is 0 in the file of a concept, and what is neither 1 nor 0",
}
_MEANING = {"1": PRESENT, "0": ABSENT}
_FOLDERS = ("Flickr", "images", "Images")


def recognises(path: Path) -> bool:
    """Return whether a folder has the lists of images and the files of concepts."""
    return "nus_wide" in _folders.kinds(path)


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
) -> LabelTable:
    """Read the ground truth of the concepts.

    Args:
        path: Folder with `ImageList`, and `TrainTestLabels` or `AllLabels`, perhaps in `Groundtruth`.
        images: Image folder; by default `Flickr` or `images` in the folder, or the folder itself.
        absent: `negative` makes absent what is neither 1 nor 0, too.
        classes: Concepts in their order; by default those of `Concepts81.txt`, or else all files in alphabetical order.

    Raises:
        ValueError: A file is missing, or has another number of lines than its list of images.

    Warns:
        UserWarning: A line is neither 1 nor 0 (one of the published files has such a line); its label is unknown.
    """
    layout = _layout(path)
    if not layout:
        raise ValueError(
            f"{path}: no ImageList with TrainImagelist.txt or Imagelist.txt, and TrainTestLabels or AllLabels with "
            "Labels_<concept>.txt; unpack ImageList.zip and Groundtruth.zip into one folder"
        )
    columns = list(classes) if classes is not None else _concepts(path, layout)
    listed, labels, split = [], [], []
    for part, (listing, pattern) in layout.items():
        names = [line.replace("\\", "/") for line in listed_in(listing)]
        labels.append(np.stack([_column(pattern, each, listing, names) for each in columns], axis=1))
        listed += names
        split += [part] * len(names)
    root = images or next((path / name for name in _FOLDERS if (path / name).is_dir()), path)
    parts = split if all(layout) else None
    return build_table(path, listed, columns, np.concatenate(labels), absent=absent, split=parts, root=root)


def _layout(path: Path) -> dict[str, tuple[Path, Path]]:
    """Return for each part its list of images and the files of its concepts, in which `*` stands for the concept."""
    places = [home / "TrainTestLabels" for home in (path / "Groundtruth", path)]
    for folder in places:
        found = {
            part.lower(): (path / "ImageList" / f"{part}Imagelist.txt", folder / f"Labels_*_{part}.txt")
            for part in ("Train", "Test")
        }
        there = {
            part: (listing, pattern)
            for part, (listing, pattern) in found.items()
            if listing.is_file() and any(folder.glob(pattern.name))
        }
        if there:
            return there
    listing = path / "ImageList" / "Imagelist.txt"
    for folder in (path / "Groundtruth" / "AllLabels", path / "AllLabels"):
        if listing.is_file() and any(folder.glob("Labels_*.txt")):
            return {"": (listing, folder / "Labels_*.txt")}
    return {}


def _concepts(path: Path, layout: dict[str, tuple[Path, Path]]) -> list[str]:
    """Return the concepts: as listed, or else those that have a file."""
    _, pattern = next(iter(layout.values()))
    there = _in_files(pattern)
    for listing in (path / "Concepts81.txt", path / "ConceptsList" / "Concepts81.txt"):
        if listing.is_file():
            return [name for name in listed_in(listing) if name in there] or there
    return there


def _in_files(pattern: Path) -> list[str]:
    """Return the concepts that have a file, in alphabetical order."""
    before, _, after = pattern.name.partition("*")
    return sorted(file.name[len(before) : -len(after)] for file in pattern.parent.glob(pattern.name))


def _column(pattern: Path, concept: str, listing: Path, names: Sequence[str]) -> np.ndarray:
    """Read the file of a concept.

    Raises:
        ValueError: It is missing, or has another number of lines than its list of images.
    """
    file = pattern.with_name(pattern.name.replace("*", concept))
    if not file.is_file():
        near = did_you_mean(concept, _in_files(pattern))
        raise ValueError(f"{file} is missing: there is no concept {concept!r}{near}")
    lines = [line.strip() for line in lines_of(file)]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) != len(names):
        raise ValueError(
            f"{file} has {len(lines):,} lines, and {listing} names {len(names):,} images; is one of them cut off?"
        )
    if strange := [(number, line) for number, line in enumerate(lines, start=1) if line not in _MEANING]:
        shown = some(f"line {number}, {names[number - 1]}: {line!r}" for number, line in strange)
        warnings.warn(
            f"{file}: {len(strange)} line(s) are neither 1 nor 0 and are read as unknown: {shown}",
            stacklevel=4,
        )
    return np.array([_MEANING.get(line, UNKNOWN) for line in lines], np.int8)
