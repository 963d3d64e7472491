"""LVIS instances JSON (Gupta et al., 2019): annotations, and the categories verified to be absent from each image.

A category is present if the image has an annotation of it, absent if it is in the image's `neg_category_ids`, and
unknown otherwise. Categories in `not_exhaustive_category_ids` have unmarked instances; without a single annotation
they stay unknown.
"""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from partlabel.data.readers import _json, _names
from partlabel.data.readers.coco import numbers
from partlabel.data.tables.label_table import Absent, LabelTable

ABSENCE = {
    "unknown": "absent is what an image's neg_category_ids lists; a category in neither list is unknown",
    "negative": "absent is what an image's neg_category_ids lists, and every category without an annotation in the "
    "image; LVIS itself leaves those unknown. What is in not_exhaustive_category_ids stays unknown",
}


def recognises(path: Path) -> bool:
    """Return whether a file is JSON that mentions `neg_category_ids`."""
    return _json.kind(path) == "lvis"


def read(path: Path, images: Path | None = None, absent: Absent | None = None) -> LabelTable:
    """Read an instances file. Columns are in the order of category ids.

    Args:
        path: Instances file, such as `lvis_v1_train.json`.
        images: Folder of the COCO images, with or without the subfolders `train2017` and `val2017`, which paths
            contain.
        absent: `negative` makes categories in no list absent. In LVIS they are unknown.

    Raises:
        ValueError: The file is not an instances file, an annotation or a list refers to an image or category that does
            not exist, or a category of an image is both annotated and in `neg_category_ids`.
    """
    content = _json.load(path)
    listed = _json.keyed(path, "the file", content, "images", list)
    kinds = _json.keyed(path, "the file", content, "categories", list)
    annotations = _json.keyed(path, "the file", content, "annotations", list)
    for name, entries in (("images", listed), ("categories", kinds)):
        for position, entry in enumerate(entries):
            _json.keyed(path, f"{name}[{position}]", entry, "id", int)
    kinds = sorted(kinds, key=lambda kind: kind["id"])
    numbers(path, "categories", kinds)
    rows = numbers(path, "images", listed)
    name_of = {
        kind["id"]: _json.keyed(path, f"category {kind['id']}", kind, "name", str).strip() for kind in kinds
    }
    present: list[set[str]] = [set() for _ in listed]
    for position, entry in enumerate(annotations):
        where = f"annotations[{position}]"
        image = _json.keyed(path, where, entry, "image_id", int)
        if image not in rows:
            raise ValueError(
                f"{path}: {where} has image_id {image}, which is not in the file; add it or drop it"
            )
        category = _json.keyed(path, where, entry, "category_id", int)
        present[rows[image]].update(_of(path, where, "category_id", [category], name_of))
    found = [
        _found(path, position, entry, present[position], name_of) for position, entry in enumerate(listed)
    ]
    return _names.table(path, found, [*name_of.values()], absent, images)


def _found(
    path: Path,
    position: int,
    entry: dict[str, Any],
    present: set[str],
    name_of: dict[int, str],
) -> _names.Found:
    """Return the labels of one image."""
    where = f"images[{position}]"
    lists = {
        key: _of(path, where, key, _json.keyed(path, where, {key: [], **entry}, key, list), name_of)
        for key in ("neg_category_ids", "not_exhaustive_category_ids")
    }
    image = _file_of(path, where, entry)
    unsure = lists["not_exhaustive_category_ids"]
    return _names.Found(image, present, lists["neg_category_ids"], unsure=unsure, where=where)


def _of(path: Path, where: str, key: str, ids: Iterable[int], name_of: dict[int, str]) -> list[str]:
    """Return the names of categories."""
    names = []
    for number in ids:
        if number not in name_of:
            raise ValueError(f"{path}: {where}: {key} names category {number!r}, which is not in the file")
        names.append(name_of[number])
    return names


def _file_of(path: Path, where: str, entry: dict[str, Any]) -> str:
    """Return `train2017/000000391895.jpg` from the address (v1), or the file name (v0.5)."""
    if "file_name" in entry:
        return str(entry["file_name"])
    address = urlsplit(_json.keyed(path, where, entry, "coco_url", str)).path
    return "/".join(PurePosixPath(address).parts[-2:])
