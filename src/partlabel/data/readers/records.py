"""Records: a JSON list of objects, one per image, or a JSON object that maps image paths to labels.

`[{"image": "a.jpg", "labels": ["dog"]}, ...]`, as written by pandas (`orient="records"`) and many scripts. Labels are
lists of names, text with a delimiter between names, or one key per class with 1, 0, true, false or null. Also
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
    """Return whether a file is a JSON list of objects that are not Label Studio tasks, or maps image paths to lists."""
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
        path: JSON file.
        images: Image folder; by default paths are relative to the file's folder.
        absent: Meaning of a class that is not mentioned; required if no object lists absent classes.
        classes: All classes in their order; by default those that occur, in alphabetical order.
        image_key: Key of the image path; by default `image`, `file_name`, `path`, ....
        present_key: Key of the present classes; by default `present`, `labels`, `tags`, ....
        absent_key: Key of the absent classes.
        leave_out: Keys that are not classes, if each class has its own key.

    Raises:
        ValueError: The file has no objects, or one of them has no image or no labels.
    """
    content = _json.load(path)
    if isinstance(content, dict):
        objects = [{"image": image, "labels": labels} for image, labels in content.items()]
        entries = [(f"key {each['image']!r}", each) for each in objects]
    elif isinstance(content, list):
        entries = [(f"entry {number}", each) for number, each in enumerate(content, start=1)]
    else:
        raise InputError(f"{path}: no list of objects, one per image: it is {type(content).__name__}")
    for where, entry in entries:
        if not isinstance(entry, dict):
            raise InputError(f"{path}: {where} is not an object with an image and its labels: {entry!r}")
    return _entries.table(
        path, entries, images, absent, classes, image_key, present_key, absent_key, leave_out
    )
