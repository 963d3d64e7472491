"""MS-COCO instances JSON (Lin et al., 2014): the classes of an image are those of its annotations.

Rows are in the order of `images`, columns in the order of category ids, as in the label masks of the partial-label
literature. Images without annotations are kept, and crowd annotations count. Annotations with a `caption` are texts.
"""

from pathlib import Path
from typing import Any

import numpy as np

from partlabel.core.fixes import InputError
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.messages import some
from partlabel.data.readers import _json
from partlabel.data.readers._build import build_table, require_absent
from partlabel.data.readers._text_columns import texts_of
from partlabel.data.tables.label_table import Absent, LabelTable
from partlabel.data.tables.validation import repeated

_ID = (int, float, str)
_KEYS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "images": {"id": _ID, "file_name": str},
    "categories": {"id": _ID, "name": (str, int)},
    "annotations": {"image_id": _ID, "category_id": _ID},
}
ABSENCE = {
    "unknown": "COCO lists only what is present; a category without an annotation in an image is unknown",
    "negative": "COCO lists only what is present; a category without an annotation in an image is absent",
}


def recognises(path: Path) -> bool:
    """Return whether a file is JSON of no other format."""
    return _json.kind(path) == "coco"


def read(path: Path, images: Path | None = None, absent: Absent | None = None) -> LabelTable:
    """Read an instances file.

    Args:
        path: Instances file, such as `instances_train2014.json`.
        images: Image folder, to which `file_name` is relative.
        absent: Meaning of a class without an annotation; required. The literature uses `negative`.

    Raises:
        ValueError: `absent` is missing, the file is not an instances file, an id occurs twice, or an annotation refers
            to an image or category that does not exist.
    """
    require_absent(path, absent, "COCO lists only what is present")
    content = _content(path)
    rows = numbers(path, "images", content["images"])
    kinds = sorted(content["categories"], key=lambda kind: (isinstance(kind["id"], str), kind["id"]))
    columns = numbers(path, "categories", kinds)
    labels = np.full((len(rows), len(columns)), UNKNOWN, np.int8)
    boxes = [each for each in content["annotations"] if "category_id" in each]
    at = _places(path, boxes, "image_id", rows), _places(path, boxes, "category_id", columns)
    labels[at] = PRESENT
    listed = [image["file_name"] for image in content["images"]]
    classes = [str(kind["name"]).strip() for kind in kinds]
    texts = _texts(content, rows)
    return build_table(
        path, listed, classes, labels, absent=absent, root=images, texts=texts if any(texts) else None
    )


def _texts(content: dict[str, list[dict[str, Any]]], rows: dict[Any, int]) -> list[list[str]]:
    """Return the texts of each image: its own, and captions among the annotations."""
    found = [texts_of(image) for image in content["images"]]
    for each in content["annotations"]:
        if (row := rows.get(each["image_id"])) is not None:
            found[row] += texts_of(each)
    return found


def _content(path: Path) -> dict[str, list[dict[str, Any]]]:
    content = _json.load(path)
    for name, keys in _KEYS.items():
        if not isinstance(content, dict) or not isinstance(content.get(name), list):
            raise InputError(
                f"{path}: not a COCO instances file: it has no list {name!r}", *_json.other_format(content)
            )
        for position, entry in enumerate(content[name]):
            is_caption = name == "annotations" and isinstance(entry, dict) and "caption" in entry
            for key, kind in keys.items():
                if key == "category_id" and is_caption and key not in entry:
                    continue
                _json.keyed(path, f"{name}[{position}]", entry, key, kind)
    return content


def numbers(path: Path, name: str, entries: list[dict[str, Any]]) -> dict[Any, int]:
    """Map every id to its position.

    Raises:
        ValueError: An id comes twice.
    """
    numbers = {entry["id"]: position for position, entry in enumerate(entries)}
    if len(numbers) != len(entries):
        twice = repeated(entry["id"] for entry in entries)
        raise ValueError(
            f"{path}: ids that occur more than once in {name!r}: {some(twice)}; make them unique"
        )
    return numbers


def _places(path: Path, annotations: list[dict[str, Any]], key: str, numbers: dict[Any, int]) -> np.ndarray:
    """Return the row or column of each annotation."""
    places = np.fromiter((numbers.get(entry[key], -1) for entry in annotations), np.int64, len(annotations))
    if (places < 0).any():
        first = int(np.flatnonzero(places < 0)[0])
        raise ValueError(
            f"{path}: {int((places < 0).sum())} annotation(s) have a {key} that is not in the file; the first is "
            f"annotations[{first}] with {key} {annotations[first][key]!r}; add it or drop them"
        )
    return places
