"""A folder of images, or a text file that lists images: all labels are unknown. Used for prediction."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from partlabel.core.fixes import Argument, InputError, ReaderArgument
from partlabel.core.labels import UNKNOWN
from partlabel.core.text_files import listed_in
from partlabel.data.images.listing import images_in
from partlabel.data.readers import _folders, celeba
from partlabel.data.readers._build import build_table
from partlabel.data.tables.label_table import Absent, LabelTable

_MORE = re.compile(
    r"\.(jpe?g|png|webp|bmp|gif|tiff?)[\s,;:]+(?!.*\.(jpe?g|png|webp|bmp|gif|tiff?)$)\S", re.IGNORECASE
)
ABSENCE = {
    "unknown": "a folder of images has no labels; all are unknown",
    "negative": "a folder of images has no labels",
}


def recognises(path: Path) -> bool:
    """Return whether a path is a text file other than CelebA's, or a folder without label files of another reader."""
    if path.is_file():
        return path.suffix.lower() == ".txt" and not celeba.recognises(path)
    return not _folders.kinds(path)


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] = (),
    skip_broken: bool = False,
) -> LabelTable:
    """List the images of a folder and its subfolders in alphabetical order, except hidden ones.

    Args:
        path: Folder; or a text file with one image path per line, whose order is kept.
        images: Folder to which a list's paths are relative; by default the list's folder. Not used for a folder.
        absent: `unknown` or None, because a folder contains no information about absence.
        classes: Class names of the columns, all of them UNKNOWN.
        skip_broken: Leave out images whose names are not UTF-8 instead of refusing them.

    Raises:
        ValueError: There are no images, a list or the name of an image is not UTF-8, or `absent` is `negative`.

    Warns:
        UserWarning: The folder has files that are not images.
    """
    if absent == "negative":
        raise InputError(
            f"{path}: a folder names no class, so ",
            Argument("absent", "negative"),
            " would make every label ABSENT",
        )
    if path.is_dir():
        listed, root = images_in(path, (), skip_broken, ReaderArgument("skip_broken", True)), path
    else:
        listed, root = listed_in(path), images or path.parent
        if listed and all(map(_folders.is_box, listed)):
            raise ValueError(f"{path}: a list of YOLO boxes, not of images; give the folder of the dataset")
        _refuse_labels(path, listed)
    labels = np.full((len(listed), len(classes)), UNKNOWN, np.int8)
    return build_table(path, listed, classes, labels, root=root)


def _refuse_labels(path: Path, lines: Sequence[str]) -> None:
    """Refuse a list whose lines have labels after the path, which would be read as part of the name."""
    more = [line for line in lines if _MORE.search(line)]
    if len(more) > len(lines) / 2:
        raise ValueError(
            f"{path}: lines such as {more[0]!r} have more than the path of an image, but a list has one path per "
            "line. Save it as CSV with a header: image and a column for each class, or image and labels"
        )
