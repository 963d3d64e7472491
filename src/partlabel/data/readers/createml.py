"""Apple's Create ML: a JSON list of images with class names, or with labelled boxes (https://developer.apple.com).

Of a multi-label classifier, `[{"filename": "a.jpg", "annotations": ["aloe", "pot"]}]`; of an object detector, as
Roboflow writes it too, `[{"image": "a.jpg", "annotations": [{"label": "pot", "coordinates": {...}}]}]`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from partlabel.core.fixes import InputError
from partlabel.data.readers import _json, _names
from partlabel.data.readers._build import require_absent
from partlabel.data.tables.label_table import Absent, LabelTable
from partlabel.data.tables.part_names import PARTS, part_name

ABSENCE = {
    "unknown": "Create ML lists only what is present; a class without an annotation in an image is unknown",
    "negative": "Create ML lists only what is present; a class without an annotation in an image is absent",
}


def recognises(path: Path) -> bool:
    """Return whether a file is a JSON list of images with annotations that are names, or labels with coordinates."""
    return _json.kind(path) == "createml"


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
) -> LabelTable:
    """Read a list of images with their annotations.

    Args:
        path: JSON file, such as `annotations.json` or `_annotations.createml.json`; a folder named train, valid or test
            that it lies in is the part.
        images: Image folder; by default names are relative to the file's folder.
        absent: Meaning of a class without an annotation; required.
        classes: All classes in their order; by default those that occur, in alphabetical order.

    Raises:
        ValueError: The file is no such list, or an image or an annotation has no name.
    """
    require_absent(path, absent, "Create ML lists only what is present")
    content = _json.load(path)
    if not isinstance(content, list):
        raise InputError(f"{path}: not a list of images with 'annotations'", *_json.other_format(content))
    found = [_found(path, f"entry {number}", entry) for number, entry in enumerate(content, start=1)]
    part = part_name(path.resolve().parent.name)
    split = [part] * len(found) if part in PARTS else None
    return _names.table(path, found, classes, absent, images or path.parent, split)


def _found(path: Path, where: str, entry: Any) -> _names.Found:
    annotations = _json.keyed(path, where, entry, "annotations", list)
    key = next((key for key in _json.CREATEML if key in entry), _json.CREATEML[0])
    image = _json.keyed(path, where, entry, key, str)
    if all(isinstance(each, str) for each in annotations):
        return _names.Found(image, _json.stripped(annotations), where=where)
    names = [
        _json.keyed(path, f"{where} ({image}): annotations[{position}]", each, "label", str)
        for position, each in enumerate(annotations)
    ]
    return _names.Found(image, _json.stripped(names), where=where)
