"""CVAT's XML "for images" (https://docs.cvat.ai): tags of whole images, and shapes.

The classes of an image are those of its tags and shapes (boxes, polygons, masks, points). The list of classes is the
task's, if the file has one. `absent` gives the meaning of classes without a tag or shape, because CVAT does not store
which images were examined.
"""

from collections.abc import Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

from partlabel.data.readers import _names, _xml
from partlabel.data.readers._build import require_absent
from partlabel.data.tables.label_table import Absent, LabelTable

_SHAPES = ("tag", "box", "polygon", "polyline", "points", "mask", "ellipse", "cuboid", "skeleton")
ABSENCE = {
    "unknown": "CVAT lists only what is present; a label without a tag or a shape in an image is unknown",
    "negative": "CVAT lists only what is present; a label without a tag or a shape in an image is absent",
}


def recognises(path: Path) -> bool:
    """Return whether a file is XML whose first element is `annotations`."""
    return path.is_file() and path.suffix.lower() == ".xml" and _xml.first_tag(path) == "annotations"


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
) -> LabelTable:
    """Read an export "CVAT for images 1.1".

    Args:
        path: `annotations.xml`.
        images: Image folder; by default paths are relative to the file's folder.
        absent: Meaning of a class without a tag or shape; required.
        classes: All classes in their order; by default the task's, or else those that occur.

    Raises:
        ValueError: The file is not such an export, or an image or a tag has no name.
    """
    require_absent(path, absent, "CVAT lists only what is present")
    root = _xml.parse(path)
    if root.tag != "annotations":
        raise ValueError(f"{path}: not a CVAT file: its first element is <{root.tag}>, not <annotations>")
    listed = list(root.iter("image"))
    if not listed:
        kind = "; export as CVAT for images, not for video" if root.find("track") is not None else ""
        raise ValueError(f"{path}: it has no <image>{kind}")
    found = [_found(path, position, image) for position, image in enumerate(listed)]
    parts = [image.get("subset") or "" for image in listed]
    split = parts if any(parts) and set(parts) != {"default"} else None
    columns = _labels(root) if classes is None else classes
    return _names.table(path, found, columns or None, absent, images or path.parent, split)


def _found(path: Path, position: int, image: Element) -> _names.Found:
    where = f"<image> {position + 1}"
    name = image.get("name")
    if not name:
        raise ValueError(f"{path}: {where} has no name")
    present = []
    for each in image:
        if each.tag in _SHAPES:
            label = (each.get("label") or "").strip()
            if not label:
                raise ValueError(f"{path}: {where}, {name!r}: a <{each.tag}> has no label")
            present.append(label)
    return _names.Found(name, present, where=where)


def _labels(root: Element) -> list[str]:
    """Return the labels of the task, followed by any others that occur."""
    names = [(each.findtext("name") or "").strip() for labels in root.iter("labels") for each in labels]
    occur = sorted({(each.get("label") or "").strip() for image in root.iter("image") for each in image})
    return list(dict.fromkeys(name for name in (*names, *occur) if name))
