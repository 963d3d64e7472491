"""JSON annotation files: detection of their format by their keys, and access with errors that name the file."""

import json
import mmap
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from partlabel.core.fixes import Argument
from partlabel.core.messages import did_you_mean, some

_START = 1 << 16  # bytes
TOO_DEEP = "its brackets are nested too deeply"
_KEY = re.compile(rb'"((?:[^"\\]|\\.)*)"\s*:')
_TASKS = {
    "data",
    "annotations",
    "completions",
    "predictions",
    "annotation_id",
    "annotator",
}  # of Label Studio
CREATEML = ("filename", "image", "imagefilename")
"""Keys of the image in lists of Create ML."""
_DETAILS = {"data", "completions", "predictions", "annotation_id", "annotator", "from_name", "result"}
_PHOTO = re.compile(r"\.(jpe?g|png|webp|bmp|gif|tiff?)$", re.IGNORECASE)
_HINTS = {
    "label_studio": "list of tasks with 'data' and 'annotations'",
    "records": "list of objects, one per image",
    "fiftyone": "object with 'samples'",
    "lvis": "object whose images have 'neg_category_ids'",
    "createml": "list of objects with 'image' or 'filename', and 'annotations'",
    "datumaro": "object with 'categories' and 'items'",
    "coco": "object with lists 'images', 'categories' and 'annotations'",
}


def kind(path: Path) -> str | None:
    """Return the reader of a JSON file; None if the file is not JSON.

    An object with `shapes` is labelme. A list of images with `annotations` is Create ML, a list of tasks Label Studio;
    any other list of objects is records, and so is an object whose first key is an image path; objects on several lines
    are JSON Lines; an object with `samples` near its beginning is FiftyOne, one with `categories` and `items` Datumaro,
    one that mentions `neg_category_ids` anywhere LVIS, any other COCO.
    """
    if not path.is_file() or path.suffix.lower() != ".json":
        return None
    with path.open("rb") as file:
        start = file.read(_START).lstrip(b"\xef\xbb\xbf \t\r\n")
    keys = [key.decode("utf-8", "replace") for key in _KEY.findall(start)]
    if start.startswith(b"["):
        if _is_createml(keys):
            return "createml"
        return "records" if keys and not _TASKS & set(keys) else "label_studio"
    if _is_datumaro(keys):
        return "datumaro"
    if "shapes" in keys and "samples" not in keys:
        return "labelme"
    first, _, second = start.partition(b"\n")
    if first.rstrip().endswith(b"}") and second.lstrip().startswith(b"{"):
        return "jsonl"
    if keys and _PHOTO.search(keys[0]):
        return "records"
    if b'"samples"' in start and b'"annotations"' not in start:
        return "fiftyone"
    return "lvis" if start and _mentions(path, b'"neg_category_ids"') else "coco"


def _is_createml(keys: Sequence[str]) -> bool:
    """Return whether the keys of a list are those of Create ML, and none of a Label Studio task's are among them."""
    return "annotations" in keys and bool({*CREATEML} & {*keys}) and not _DETAILS & {*keys}


def _is_datumaro(keys: Sequence[str]) -> bool:
    """Return whether the first keys of an object are those of Datumaro, whose items follow a list of labels."""
    first = [key for key in keys if key in ("categories", "items", "images", "samples", "shapes")]
    by_name = first[:1] == ["categories"] and {"label", "labels"} <= {*keys}
    return by_name and "images" not in first


def load(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        ValueError: The file is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path}: not JSON: {error}") from None
    except RecursionError:
        raise ValueError(f"{path}: not JSON of labels: {TOO_DEEP}") from None


def other_format(content: Any) -> list[object]:
    """Describe the content of a JSON file and the reader it seems to be for, in pieces of a message.

    Args:
        content: Parsed JSON, which does not have the expected format.
    """
    first = content[0] if isinstance(content, list) and content else content
    keys = list(first) if isinstance(first, dict) else []
    what = f"a list of {len(content)}, the first" if isinstance(content, list) else "an object, which"
    message: list[object] = [
        f"; it is {what} has {some(map(repr, keys))}" if keys else f"; it is {_shown(content)}"
    ]
    if isinstance(content, list) and keys:
        name = "createml" if _is_createml(keys) else "label_studio" if _TASKS & set(keys) else "records"
    elif "samples" in keys:
        name = "fiftyone"
    elif {"categories", "items"} <= set(keys):
        name = "datumaro"
    elif {"images", "annotations", "categories"} <= set(keys):
        name = "coco"
    elif keys and _PHOTO.search(keys[0]):
        name = "records"
    else:
        return [*message, f". Supported JSON: {'; '.join(f'{each}: {has}' for each, has in _HINTS.items())}"]
    return [*message, "; read it with ", Argument("format", name)]


def keyed(path: Path, where: str, entry: Any, key: str, kind: type | tuple[type, ...]) -> Any:
    """Return the value of a key of an entry.

    Raises:
        ValueError: The key is missing, or its value has another type; the message gives the position in the file.
    """
    if not isinstance(entry, dict):
        raise ValueError(f"{path}: {where} is {_shown(entry)}, not an object")
    if key not in entry:
        raise ValueError(
            f"{path}: {where} has no {key!r}{did_you_mean(key, entry)}; it has: {some(entry) or 'nothing'}"
        )
    if not isinstance(entry[key], kind):
        names = [each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,))]
        raise ValueError(f"{path}: {where}: {key!r} is {_shown(entry[key])}, not a {' or '.join(names)}")
    return entry[key]


def names_in(path: Path, where: str, found: Any) -> list[str]:
    """Return a list of class names without surrounding spaces.

    Raises:
        ValueError: The value is not a list of names; the message gives the position in the file.
    """
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise ValueError(f"{path}: {where} is {_shown(found)}, not a list of class names")
    return stripped(found)


def stripped(names: Iterable[str]) -> list[str]:
    """Return names without surrounding spaces; empty ones are left out."""
    return [name.strip() for name in names if name.strip()]


def _mentions(path: Path, word: bytes) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(word) >= 0


def _shown(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
