"""Visual Genome as in the partial-label literature (Chen et al., SSGRL, 2019): name lists and a label index.

`train_list_500.txt` and `test_list_500.txt` have one image name per line; `vg_category_500_labels_index.json` maps each
name to the ids of its classes. VG-200 consists of the ids below 200 of the 500, on the same images.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from partlabel.core.fixes import InputError, ReaderArgument
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.messages import some
from partlabel.core.text_files import listed_in
from partlabel.data.readers import _json
from partlabel.data.readers._build import build_table, require_absent
from partlabel.data.tables.label_table import Absent, LabelTable

INDEX = "vg_category_500_labels_index.json"
_LISTS = {"train": "train_list_500.txt", "test": "test_list_500.txt"}
ABSENCE = {
    "unknown": "the label index lists only what is present; a class that it does not list for an image is unknown",
    "negative": "the label index lists only what is present; a class that it does not list for an image is absent",
}


def recognises(path: Path) -> bool:
    """Return whether a folder has one of the name lists."""
    return any((path / name).is_file() for name in _LISTS.values())


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    index: str | Path | None = None,
    below: int = 200,
    classes: Sequence[str] | None = None,
) -> LabelTable:
    """Read the name lists of a folder as parts `train` and `test`, or a single list without parts.

    Args:
        path: Folder of the lists, or one list.
        images: Image folder. Images in its subfolders `VG_100K` and `VG_100K_2`, as Visual Genome distributes them, are
            found.
        absent: Meaning of a class that the index does not list; required. The literature uses `negative`.
        index: Label index; by default `vg_category_500_labels_index.json` beside the lists.
        below: Number of classes: ids from this one on are left out.
        classes: Class names; by default `vg0`, `vg1`, ..., because the index has none.

    Raises:
        ValueError: `absent` is missing, an image is not in the index, an id is not a number in range, or the number of
            names differs from the number of classes.
    """
    require_absent(path, absent, "the label index lists only what is present")
    folder = path if path.is_dir() else path.parent
    index = Path(index) if index is not None else folder / INDEX
    if not index.is_file():
        raise InputError(
            f"{path}: there is no label index {index}; give its path with ",
            ReaderArgument("index", placeholder="FILE"),
        )
    known = _index(index)
    lists = {part: folder / name for part, name in _LISTS.items() if (folder / name).is_file()}
    members = (
        {part: listed_in(file) for part, file in lists.items()} if path.is_dir() else {"": listed_in(path)}
    )
    listed = [name for names in members.values() for name in names]
    names = _class_names(path, below, classes)
    labels = _labels(index, known, listed, below)
    split = [part for part, of_part in members.items() for _ in of_part] if path.is_dir() else None
    return build_table(path, _found(listed, images), names, labels, absent=absent, split=split, root=images)


def _index(file: Path) -> dict[str, list[Any]]:
    known = _json.load(file)
    if not isinstance(known, dict) or not all(isinstance(ids, list) for ids in known.values()):
        raise ValueError(f"{file}: not a label index: it maps every image name to a list of class ids")
    return known


def _class_names(path: Path, below: int, classes: Sequence[str] | None) -> list[str]:
    if classes is not None and len(classes) != below:
        raise ValueError(f"{path}: {len(classes)} class names for the {below} ids below {below}")
    return list(classes) if classes is not None else [f"vg{number}" for number in range(below)]


def _labels(index: Path, known: dict[str, list[Any]], listed: list[str], below: int) -> np.ndarray:
    strangers = [name for name in listed if name not in known]
    if strangers:
        raise ValueError(
            f"{index}: {len(strangers)} of {len(listed)} images are not in the index: {some(strangers)}"
        )
    labels = np.full((len(listed), below), UNKNOWN, np.int8)
    for row, name in enumerate(listed):
        wrong = [number for number in known[name] if type(number) is not int or number < 0]
        if wrong:
            raise ValueError(
                f"{index}: image {name!r} has the class id(s) {some(wrong)}; ids are numbers from 0 on"
            )
        labels[row, [number for number in known[name] if number < below]] = PRESENT
    return labels


def _found(listed: list[str], images: Path | None) -> list[str]:
    """Return the names, with Visual Genome's folder in front if the images are in its two folders."""
    folders = [name for name in ("VG_100K", "VG_100K_2") if images is not None and (images / name).is_dir()]
    where = {name: f"{folder}/{name}" for folder in folders for name in _listing(images, folder)}
    return [where.get(name, name) for name in listed]


def _listing(images: Path | None, folder: str) -> list[str]:
    return [] if images is None else [file.name for file in (images / folder).iterdir()]
