"""Pascal VOC's XML without the devkit's lists: beside the images, as labelImg and Roboflow write it, or in a folder.

The classes of an image are those of the objects in its XML file. An image without a file counts as not annotated.
Folders named train, valid, test and similar are parts. Difficult objects are treated as in `voc`.
"""

from collections.abc import Sequence
from pathlib import Path

from partlabel.data.readers import _beside, _folders, _names, voc
from partlabel.data.readers._build import require_absent
from partlabel.data.tables.label_table import Absent, LabelTable

ABSENCE = {
    "unknown": "XML lists only what is present; a class without an object is unknown",
    "negative": "XML lists only what is present; a class without an object in an image's file is absent; all of an "
    "image without a file is unknown",
}


def recognises(path: Path) -> bool:
    """Return whether a folder has VOC XML files and no lists, or a file is one of them."""
    if path.is_file():
        return path.suffix.lower() == ".xml" and _folders.has_objects(path)
    return "voc_flat" in _folders.kinds(path)


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    difficult: voc.Difficult | None = None,
    classes: Sequence[str] | None = None,
) -> LabelTable:
    """Read the XML files of a folder and its subfolders.

    Args:
        path: Folder of the XML files.
        images: Image folder; the same folder by default.
        absent: Meaning of a class without an object; required.
        difficult: Label of a class with only difficult objects; by default absent if `absent` is `negative`, else
            unknown.
        classes: All classes in their order; by default those that occur, in alphabetical order.

    Raises:
        ValueError: There are no images or no XML files, a file cannot be parsed or matches several images.

    Warns:
        UserWarning: XML files match no image.
    """
    if path.is_file():
        raise ValueError(
            f"{path}: the labels of one image; give the folder with the files of all images: {path.parent}"
        )
    require_absent(path, absent, "XML lists only what is present")
    found = [_found(pair, difficult) for pair in _beside.pairs(path, images, ".xml")]
    split = _beside.split_of([each.image for each in found])
    return _names.table(path, found, classes, absent, images or path, split)


def _found(pair: _beside.LabelledImage, difficult: voc.Difficult | None) -> _names.Found:
    if pair.file is None:
        return _names.Found(pair.image, (), looked=False)
    objects = voc.objects(pair.file)
    plain = {name for name, is_difficult in objects if not is_difficult}
    hard = {name for name, is_difficult in objects if is_difficult} - plain
    return _names.Found(
        pair.image,
        plain | (hard if difficult == "present" else set()),
        hard if difficult == "absent" else (),
        unsure=hard if difficult == "unknown" else (),
        where=pair.file.name,
    )
