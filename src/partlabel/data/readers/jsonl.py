"""JSON lines: one image a line, with the names of what is present and of what is known to be absent.

`{"image": "a.jpg", "present": ["dog"], "absent": ["cat"], "split": "train"}`; `absent` and `split` may be left out.
What `partlabel fill` writes is read too: `{"image": "a.jpg", "labels": {"dog": {"label": 1, "p": 0.98}, ...}}`, with
1, 0 or null as the label, which may also stand alone: `{"labels": {"dog": 1}}`. A key `source` says where labels come
from: of a class, beside its label; of all of a line with lists, beside them.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from partlabel.data.lines import lines_of
from partlabel.data.readers import _json, _names
from partlabel.data.readers._build import require_absent
from partlabel.data.table import Absent, LabelTable

ABSENCE = {
    "unknown": "absent is what a line's list 'absent' names; a class in neither list is unknown",
    "negative": "absent is what a line's list 'absent' names, and every class that the line does not mention; a class "
    "that is null, and all of a line without a list 'present', is unknown",
}


def recognises(path: Path) -> bool:
    """A file that ends in `.jsonl` or `.ndjson`."""
    return path.is_file() and path.suffix in (".jsonl", ".ndjson")


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
    image_key: str = "image",
    present_key: str = "present",
    absent_key: str = "absent",
) -> LabelTable:
    """Read lines.

    Args:
        path: The file.
        images: The image folder; without it, paths start from the folder of the file.
        absent: What a class in neither list means; required where no line has a list of absent ones.
        classes: All classes in their order; without it, those that occur, in alphabetical order.
        image_key: Where a line has the path.
        present_key: Where it lists what is present; such as `tags`.
        absent_key: Where it lists what is absent.

    Raises:
        ValueError: A line is no such object, or has a class both as present and as absent; some lines have a `split`
            and others do not.
    """
    found, split, says_absent = [], [], False
    occur: set[str] = set()  # classes, those of which nothing is known among them
    for number, line in enumerate(lines_of(path), start=1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{path}: {where}: no JSON: {error}") from None
        except RecursionError:
            raise ValueError(f"{path}: {where}: no JSON of labels: {_json.TOO_DEEP}") from None
        image = _json.keyed(path, where, entry, image_key, str)
        split.append(entry.get("split"))
        if isinstance(entry.get("labels"), dict) and present_key not in entry:
            said = _told(path, where, entry["labels"])
            says_absent, occur = True, occur | said.keys()
            present, gone, blank = (
                [name for name in said if said[name] is each] for each in (True, False, None)
            )
            sources = _sources(path, where, entry["labels"])
            found.append(_names.Found(image, present, gone, unsure=blank, where=where, origin=sources or ""))
            continue
        says_absent |= absent_key in entry
        present, gone = (
            _json.names_in(path, f"{where}: {key!r}", entry.get(key) or [])
            for key in (present_key, absent_key)
        )
        occur |= {*present, *gone}
        source = entry.get("source") or ""
        if not isinstance(source, str):
            raise ValueError(
                f"{path}: {where}: 'source' is {source!r}, not where the line's labels come from"
            )
        looked = entry.get(present_key) is not None
        found.append(_names.Found(image, present, gone, looked, where=where, origin=source))
    if not any(each.looked or each.absent for each in found):
        raise ValueError(
            f"{path}: no line has a list {present_key!r}; say what it is called with present_key="
        )
    if not says_absent:
        require_absent(path, absent, f"no line has a list {absent_key!r}")
    if any(part is None for part in split) and any(part is not None for part in split):
        raise ValueError(
            f"{path}: line {split.index(None) + 1} has no 'split' and others have; give each one or none"
        )
    parts = None if None in split else [str(part) for part in split]
    classes = sorted(occur) if classes is None else classes
    return _names.table(path, found, classes, absent, images or path.parent, parts)


def _sources(path: Path, where: str, labels: dict[str, Any]) -> dict[str, str]:
    """Where a line has its labels from, of those of which it says so."""
    found = {name: value.get("source") for name, value in labels.items() if isinstance(value, dict)}
    for name, source in found.items():
        if source is not None and not isinstance(source, str):
            raise ValueError(f"{path}: {where}: class {name!r}: 'source' is {source!r}, not a name")
    return {name: source for name, source in found.items() if source}


def _told(path: Path, where: str, labels: dict[str, Any]) -> dict[str, bool | None]:
    """What a line says of each class: that it is there, that it is not, or nothing."""
    told: dict[str, bool | None] = {}
    for name, value in labels.items():
        label = value.get("label") if isinstance(value, dict) else value
        if label not in (0, 1, None):
            raise ValueError(
                f"{path}: {where}: class {name!r} is {label!r}; write 1 (present), 0 (absent) or null (unknown)"
            )
        told[name] = None if label is None else bool(label)
    return told
