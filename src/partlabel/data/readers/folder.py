"""A plain folder of images, or a text file that lists them: nothing is known of any class. For prediction."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from partlabel.codes import UNKNOWN
from partlabel.data.lines import listed_in
from partlabel.data.readers._build import build
from partlabel.data.table import Absent, LabelTable
from partlabel.fixes import Argument, InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
ABSENCE = {
    "unknown": "a folder of images says nothing of any class; all is unknown",
    "negative": "a folder of images says nothing of any class",
}


def recognises(path: Path) -> bool:
    """A folder without the lists of VOC or Visual Genome; a text file."""
    lists = path / "ImageSets" / "Main", path / "train_list_500.txt", path / "test_list_500.txt"
    return path.suffix == ".txt" if path.is_file() else not any(there.exists() for there in lists)


def read(
    path: Path, images: Path | None = None, absent: Absent | None = None, *, classes: Sequence[str] = ()
) -> LabelTable:
    """List the images of a folder and of the folders in it, in alphabetical order; hidden ones are left out.

    Args:
        path: The folder; or a text file with one image path a line, kept in its order.
        images: The folder that a list's paths start from; without it, the folder of the list. A folder is its own.
        absent: `unknown` or nothing: a folder says nothing of absence.
        classes: The columns, all of them UNKNOWN.

    Raises:
        ValueError: There are no images, a list is not UTF-8, or `absent` is `negative`.
    """
    if absent == "negative":
        raise InputError(
            f"{path}: a folder names no class, so ",
            Argument("absent", "negative"),
            " would make every label ABSENT",
        )
    if path.is_dir():
        listed, root = sorted(walk(path)), path
        if not listed:
            raise ValueError(f"{path}: no image in this folder or below; looked for {', '.join(SUFFIXES)}")
    else:
        listed, root = listed_in(path), images or path.parent
    labels = np.full((len(listed), len(classes)), UNKNOWN, np.int8)
    return build(path, listed, classes, labels, root=root)


def walk(folder: Path) -> Iterator[str]:
    """The images of a folder and of those in it, one after the other: no more than a folder's names are held.

    The order is always the same: a folder's images by name, then the folders in it by name.
    """
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        start = Path(here).relative_to(folder).as_posix()
        for name in sorted(files):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield name if start == "." else f"{start}/{name}"
