"""Matching of label files to images: beside them, or in a label folder (`labels/a.txt` for `images/a.jpg`).

An image and a label file match if their paths are equal without suffixes and without folders whose names only
distinguish images from labels: `train/images/a.jpg` and `train/labels/a.txt`, `JPEGImages/a.jpg` and
`Annotations/a.xml`, `a.jpg` and `a.jpg.txt`.
"""

import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from partlabel.core.messages import some
from partlabel.data.images.listing import images_in
from partlabel.data.tables.part_names import part_of_path

_ONLY_KIND = {"images", "image", "img", "imgs", "jpegimages", "labels", "label", "annotations", "annotation"}
_ONLY_KIND |= {"xml", "xmls", "json", "txt"}


class LabelledImage(NamedTuple):
    """An image and its label file; None if it has none."""

    image: str
    file: Path | None


def pairs(path: Path, images: Path | None, suffix: str, others: Collection[str] = ()) -> list[LabelledImage]:
    """Find the label file of every image.

    Args:
        path: Folder of the label files.
        images: Image folder; None if it is the same folder.
        suffix: Suffix of the label files, in lower case.
        others: Names of files with this suffix that are not label files, in lower case; or suffixes of further files
            that belong to the format.

    Raises:
        ValueError: There are no images or no label files, or a file matches several images.

    Warns:
        UserWarning: Label files match no image.
    """
    root = images or path
    listed = images_in(root, (suffix, *(each for each in others if each.startswith("."))))
    files = [file for file in files_in(path, suffix) if not _is_aside(file, others)]
    if not files:
        raise ValueError(f"{path}: no {suffix} file in this folder or below")
    of_key = _by_key(path, files, lambda file: _stem(file))
    _refuse_twins(root, listed, of_key)
    found = [LabelledImage(image, _file_of(path, image, of_key)) for image in listed]
    tell_unused(path, root, files, {pair.file for pair in found})
    return found


def split_of(images: list[str]) -> list[str] | None:
    """Return the part of each image according to its folders; None if no folder is named after a part.

    Args:
        images: Paths relative to the image folder.
    """
    split = [part_of_path(image) for image in images]
    return split if any(split) else None


def files_in(path: Path, suffix: str = "") -> Iterator[str]:
    """Yield the files of a folder and its subfolders, except hidden ones; linked folders are not followed.

    Args:
        path: Folder to list.
        suffix: Suffix of the files, in lower case.
    """
    for here, folders, names in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = os.path.relpath(here, path).replace(os.sep, "/")
        for name in sorted(names):
            if name.lower().endswith(suffix) and not name.startswith("."):
                yield name if below == "." else f"{below}/{name}"


def _by_key(path: Path, files: list[str], stem: Callable[[str], str]) -> dict[str, str]:
    """Map each key to its label file.

    Raises:
        ValueError: Two label files have the same key.
    """
    found: dict[str, list[str]] = defaultdict(list)
    for file in files:
        found[_key(stem(file))].append(file)
    for same in found.values():
        if len(same) > 1:
            raise ValueError(f"{path}: {some(same)} belong to the same image; keep one")
    return {key: same[0] for key, same in found.items()}


def _file_of(path: Path, image: str, of_key: dict[str, str]) -> Path | None:
    names = [of_key[key] for key in (_key(_stem(image)), _key(image)) if key in of_key]
    if len(names) > 1:
        raise ValueError(f"{path}: image {image!r} has {some(names)}; keep one")
    return path / names[0] if names else None


def _refuse_twins(root: Path, listed: list[str], of_key: dict[str, str]) -> None:
    """Refuse label files that match two images."""
    twins: dict[str, list[str]] = defaultdict(list)
    for image in listed:
        twins[_key(_stem(image))].append(image)
    for key, same in twins.items():
        if len(same) > 1 and key in of_key:
            raise ValueError(f"{root}: {of_key[key]} may belong to {' or '.join(same[:3])}; keep one")


def tell_unused(path: Path, root: Path, files: Collection[str], used: Collection[Path | None]) -> None:
    """Warn about label files that match no image.

    Args:
        path: Folder of the label files.
        root: Image folder, for the message.
        files: All label files, relative to the folder.
        used: Label files that match an image.

    Warns:
        UserWarning: Some label files match no image.
    """
    unused = [file for file in files if path / file not in used]
    if unused:
        warnings.warn(
            f"{path}: {len(unused)} of {len(files)} label files belong to no image in {root}: {some(unused)}",
            stacklevel=4,
        )


def _is_aside(file: str, others: Collection[str]) -> bool:
    """Return whether a file has no labels, such as Roboflow's `README.dataset.txt`."""
    name = file.rpartition("/")[2].lower()
    return name in others or name.startswith(("readme", "license"))


def _key(path: str) -> str:
    folders, _, name = path.rpartition("/")
    kept = [folder for folder in folders.split("/") if folder and folder.lower() not in _ONLY_KIND]
    return "/".join([*kept, name])


def _stem(file: str) -> str:
    return file[: file.rindex(".")]
