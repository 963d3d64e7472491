"""Datumaro's JSON (https://github.com/openvinotoolkit/datumaro): labels of whole images and shapes, by label number.

A dataset is a folder with `annotations/<part>.json` and `images/<part>/`; CVAT and Geti export it, too. The classes of
an image are those of its annotations of any kind; captions are its texts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from partlabel.core.fixes import InputError
from partlabel.core.messages import some
from partlabel.data.images.listing import is_photo
from partlabel.data.readers import _folders, _json, _names
from partlabel.data.readers._build import require_absent
from partlabel.data.tables.label_table import Absent, LabelTable

ABSENCE = {
    "unknown": "Datumaro lists only what is present; a label without an annotation in an image is unknown",
    "negative": "Datumaro lists only what is present; a label without an annotation in an image is absent",
}
_ONE_PART = "default"


def recognises(path: Path) -> bool:
    """Return whether a JSON file has categories and items, or a folder has such files in `annotations`."""
    return _json.kind(path) == "datumaro" if path.is_file() else "datumaro" in _folders.kinds(path)


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
) -> LabelTable:
    """Read a dataset, or one of its files.

    Args:
        path: Folder with `annotations`, each of whose JSON files is a part of that name; or one such file.
        images: Image folder; by default `images` of the dataset, where images lie in a folder for each part.
        absent: Meaning of a label without an annotation; required.
        classes: All classes in their order; by default all labels of the files, whether they occur or not.

    Raises:
        ValueError: There are no such files, files have different labels, an item has no image, or an annotation has the
            number of no label.
    """
    require_absent(path, absent, "Datumaro lists only what is present")
    files = sorted((path / "annotations").glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path}: there are no JSON files in {path / 'annotations'}")
    home = path if path.is_dir() else path.parent.parent if path.parent.name == "annotations" else path.parent
    root = images or (home / "images" if (home / "images").is_dir() else home)
    names: list[str] = []
    found, split = [], []
    for file in files:
        labels, of_file = _of_file(file, root)
        if names and labels != names:
            raise ValueError(
                f"{file}: its labels ({some(labels)}) differ from those of {files[0]} ({some(names)})"
            )
        names = labels
        found += of_file
        split += [file.stem] * len(of_file)
    parts = None if {*split} <= {_ONE_PART} or (len(files) == 1 and path.is_file()) else split
    return _names.table(path, found, names if classes is None else classes, absent, root, parts)


def _of_file(file: Path, root: Path) -> tuple[list[str], list[_names.Found]]:
    """Return the labels of a file, and what it says of each image."""
    content = _json.load(file)
    if not isinstance(content, dict) or not {"categories", "items"} <= content.keys():
        raise InputError(f"{file}: no 'categories' and 'items'", *_json.other_format(content))
    categories = _json.keyed(file, "the file", content, "categories", dict)
    label = _json.keyed(file, "categories", categories, "label", dict)
    names = [
        _json.keyed(file, f"categories.label.labels[{position}]", each, "name", str).strip()
        for position, each in enumerate(_json.keyed(file, "categories.label", label, "labels", list))
    ]
    items = _json.keyed(file, "the file", content, "items", list)
    return names, [_found(file, position, item, names, root) for position, item in enumerate(items)]


def _found(file: Path, position: int, item: Any, names: list[str], root: Path) -> _names.Found:
    number = _json.keyed(file, f"items[{position}]", item, "id", (str, int))
    where = f"items[{position}], {number!r}"
    present, texts = [], []
    for place, each in enumerate(_json.keyed(file, where, item, "annotations", list)):
        kind = _json.keyed(file, f"{where}: annotations[{place}]", each, "type", str)
        if kind == "caption":
            texts.append(str(each.get("caption", "")))
        elif (label := each.get("label_id")) is not None:
            if not isinstance(label, int) or not 0 <= label < len(names):
                raise ValueError(
                    f"{file}: {where}: annotations[{place}] has label_id {label!r}, and the {len(names)} labels have "
                    f"the numbers 0 to {len(names) - 1}; correct it, or add the label to categories.label.labels"
                )
            present.append(names[label])
    return _names.Found(_image(item, str(number), file.stem, root), present, where=where, texts=texts)


def _image(item: dict[str, Any], number: str, part: str, root: Path) -> str:
    """Return the path of an image: in the folder of its part, if it is there, else as written; without one its id."""
    media = item.get("media") or item.get("image") or {}
    written = str(media.get("path") or "").replace("\\", "/") if isinstance(media, dict) else ""
    names = [written, written.rpartition("/")[2]] if written else [number]
    for name in names:
        if name and (root / part / name).is_file():
            return f"{part}/{name}"
    if not written and (root / part).is_dir():
        same = [each for each in sorted((root / part).glob(f"{number}.*")) if is_photo(each.name)]
        return f"{part}/{same[0].name}" if same else number
    return written or number
