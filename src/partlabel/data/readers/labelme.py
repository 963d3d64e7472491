"""labelme's JSON files: labelled shapes, and flags of whole images (https://github.com/wkentaro/labelme).

The classes of an image are those of its shapes and of its flags that are true. `absent` gives the meaning of a flag
that is false. An image without a JSON file counts as not annotated. Folders named train, valid, test and similar are
parts.
"""

from collections.abc import Sequence
from pathlib import Path

from partlabel.data.readers import _beside, _folders, _json, _names
from partlabel.data.readers._build import require_absent
from partlabel.data.tables.label_table import Absent, LabelTable

ABSENCE = {
    "unknown": "labelme lists only what is present; a class without a shape, or a flag that is not ticked, is unknown",
    "negative": "a class without a shape and without a ticked flag in an image's file is absent; all of an image "
    "without a file is unknown",
}


def recognises(path: Path) -> bool:
    """Return whether a folder has JSON files of labelme, or a file is one."""
    if path.is_file():
        return path.suffix.lower() == ".json" and _folders.has_shapes(path)
    return "labelme" in _folders.kinds(path)


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
) -> LabelTable:
    """Read the JSON files of a folder and its subfolders.

    Args:
        path: Folder of the JSON files.
        images: Image folder; the same folder by default.
        absent: Meaning of a class that is not marked; required.
        classes: All classes in their order; by default those of all shapes and flags, in alphabetical order.

    Raises:
        ValueError: There are no images or no JSON files, a file is not of labelme or matches several images.

    Warns:
        UserWarning: JSON files match no image.
    """
    if path.is_file():
        raise ValueError(
            f"{path}: the labels of one image; give the folder with the files of all images: {path.parent}"
        )
    require_absent(path, absent, "labelme lists only what is present")
    found, occur = [], set()
    for image, file in _beside.pairs(path, images, ".json"):
        if file is None:
            found.append(_names.Found(image, (), looked=False))
            continue
        present, flags = _marked(file)
        occur |= present | flags
        found.append(_names.Found(image, present, where=file.name))
    split = _beside.split_of([each.image for each in found])
    return _names.table(
        path, found, sorted(occur) if classes is None else classes, absent, images or path, split
    )


def _marked(file: Path) -> tuple[set[str], set[str]]:
    """Return the present classes, and the names of all flags."""
    content = _json.load(file)
    shapes = _json.keyed(file, "the file", content, "shapes", list)
    present = {
        _json.keyed(file, f"shapes[{position}]", shape, "label", str).strip()
        for position, shape in enumerate(shapes)
    }
    flags = content.get("flags") or {}
    if not isinstance(flags, dict) or not all(value in (True, False) for value in flags.values()):
        raise ValueError(f"{file}: 'flags' maps names to true and false; it is {flags!r}")
    ticked = {name.strip() for name, value in flags.items() if value}
    return {name for name in present | ticked if name}, {name.strip() for name in flags}
