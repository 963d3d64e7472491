"""Records: a JSON list of objects, one an image, or a JSON object from image paths to labels.

`[{"image": "a.jpg", "labels": ["dog"]}, ...]`, as pandas (`orient="records"`) and many scripts write it. Labels are
lists of names, a text with marks between names, or a key for each class with 1, 0, true, false or null. Or
`{"a.jpg": ["dog"], "b.jpg": []}`.
"""

from collections.abc import Sequence
from pathlib import Path

from partlabel.core.fixes import InputError
from partlabel.data.readers import _entries, _json
from partlabel.data.tables.label_table import Absent, LabelTable

ABSENCE = {
    "unknown": "absent is what an object's list 'absent' names, or a class that is 0; what is not mentioned is unknown",
    "negative": "absent is what an object's list 'absent' names, a class that is 0, and every class that the object "
    "does not mention; what is null is unknown",
}


def recognises(path: Path) -> bool:
    """A JSON list of objects that are no tasks of Label Studio; a JSON object from image paths to lists."""
    return _json.kind(path) == "records"


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
    image_key: str | None = None,
    present_key: str | None = None,
    absent_key: str = "absent",
    leave_out: Sequence[str] = (),
) -> LabelTable:
    """Read the objects of a JSON file.

    Args:
        path: The file.
        images: The image folder; without it, paths start from the folder of the file.
        absent: What a class that is not mentioned means; required where no object says what is absent.
        classes: All classes in their order; without it, those that occur, in alphabetical order.
        image_key: Where an object has the path; without it, `image`, `file_name`, `path`, ....
        present_key: Where it lists what is present; without it, `present`, `labels`, `tags`, ....
        absent_key: Where it lists what is absent.
        leave_out: Keys that are no classes, where each class has a key of its own.

    Raises:
        ValueError: The file holds no objects, or one of them has no image or no labels.
    """
    content = _json.load(path)
    if isinstance(content, dict):
        said = [{"image": image, "labels": labels} for image, labels in content.items()]
        entries = [(f"key {each['image']!r}", each) for each in said]
    elif isinstance(content, list):
        entries = [(f"entry {number}", each) for number, each in enumerate(content, start=1)]
    else:
        raise InputError(f"{path}: no list of objects, one an image: it is {type(content).__name__}")
    for where, entry in entries:
        if not isinstance(entry, dict):
            raise InputError(f"{path}: {where} is no object with an image and its labels: {entry!r}")
    return _entries.table(
        path, entries, images, absent, classes, image_key, present_key, absent_key, leave_out
    )
