"""One folder per class, `dog/a.jpg`; or one per part with class folders inside, `train/dog/a.jpg`.

The layout of Keras, torchvision's ImageFolder and Kaggle. The class of an image's folder is present; its other classes
are unknown or absent, as given by `absent`. Images outside all class folders are kept, with unknown labels.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

from partlabel.core.messages import some
from partlabel.data.images.listing import images_in
from partlabel.data.readers import _names
from partlabel.data.readers._build import require_absent
from partlabel.data.tables.label_table import Absent, LabelTable
from partlabel.data.tables.part_names import PARTS, part_name

ABSENCE = {
    "unknown": "a folder lists only what is present; other classes are unknown",
    "negative": "only the class of an image's folder is present; all others are absent",
}


def recognises(path: Path) -> bool:
    """Return False: folders may also be years or places, so the format must be given explicitly."""
    return False


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
) -> LabelTable:
    """Read a folder of class folders.

    Args:
        path: Root folder. If a subfolder is named after a part (`train`, ...), its subfolders are parts.
        images: Not used: the images are in `path`.
        absent: Meaning of the classes of other folders; required.
        classes: All classes in their order; by default the folder names, in alphabetical order.

    Raises:
        ValueError: There are no images, or no image is in a class folder.

    Warns:
        UserWarning: Images are in no class folder.
    """
    require_absent(path, absent, "a folder lists only what is present")
    if not path.is_dir():
        raise ValueError(f"{path}: not a folder; give the one with a subfolder for each class")
    listed = images_in(path)
    has_parts = any(part_name(name) in PARTS for name in _folders_of(path)) and any(
        image.count("/") >= 2 for image in listed
    )
    at = 1 if has_parts else 0
    split = [image.split("/")[0] if "/" in image else "" for image in listed] if has_parts else None
    of_image = [image.split("/")[at] if image.count("/") > at else "" for image in listed]
    if not any(of_image):
        raise ValueError(f"{path}: all images are in the folder itself, and none is in a class folder")
    loose = [image for image, name in zip(listed, of_image, strict=True) if not name]
    if loose:
        warnings.warn(
            f"{path}: {len(loose)} of {len(listed)} images are in no class folder, and their labels are unknown: "
            f"{some(loose)}",
            stacklevel=2,
        )
    found = [
        _names.Found(image, [name.strip()] if name else [], looked=bool(name))
        for image, name in zip(listed, of_image, strict=True)
    ]
    columns = _class_names(path, has_parts) if classes is None else classes
    return _names.table(path, found, columns, absent, path, split)


def _class_names(path: Path, has_parts: bool) -> list[str]:
    """Return the names of all class folders, including those without images."""
    above = [path / name for name in _folders_of(path)] if has_parts else [path]
    return sorted({name.strip() for folder in above for name in _folders_of(folder)})


def _folders_of(path: Path) -> list[str]:
    return [each.name for each in path.iterdir() if each.is_dir() and not each.name.startswith(".")]
