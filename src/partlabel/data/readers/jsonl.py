"""JSON lines: one image a line, with the names of what is present and of what is known to be absent.

`{"image": "a.jpg", "present": ["dog"], "absent": ["cat"], "split": "train"}`; `absent` and `split` may be left out.
What `partlabel fill` writes is read too: `{"image": "a.jpg", "labels": {"dog": {"label": 1, "p": 0.98}, ...}}`, with
1, 0 or null as the label, which may also stand alone: `{"labels": {"dog": 1}}`. A key `source` says where labels come
from: of a class, beside its label; of all of a line with lists, beside them. A line may also have a key for each class.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from partlabel.core.text_files import lines_of
from partlabel.data.readers import _entries, _json
from partlabel.data.tables.label_table import Absent, LabelTable

ABSENCE = {
    "unknown": "absent is what a line's list 'absent' names; a class in neither list is unknown",
    "negative": "absent is what a line's list 'absent' names, and every class that the line does not mention; a class "
    "that is null, and all of a line without a list 'present', is unknown",
}


def recognises(path: Path) -> bool:
    """A file that ends in `.jsonl` or `.ndjson`, or a `.json` with an object on each line."""
    if path.is_file() and path.suffix.lower() in (".jsonl", ".ndjson"):
        return True
    return _json.kind(path) == "jsonl"


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
    """Read lines.

    Args:
        path: The file.
        images: The image folder; without it, paths start from the folder of the file.
        absent: What a class in neither list means; required where no line has a list of absent ones.
        classes: All classes in their order; without it, those that occur, in alphabetical order.
        image_key: Where a line has the path; without it, `image`, `file_name`, `path`, ....
        present_key: Where it lists what is present; without it, `present`, `labels`, `tags`, ....
        absent_key: Where it lists what is absent.
        leave_out: Keys that are no classes, where each class has a key of its own.

    Raises:
        ValueError: A line is no such object, or has a class both as present and as absent; some lines have a `split`
            and others do not.
    """
    entries = []
    for number, line in enumerate(lines_of(path), start=1):
        if not line.strip():
            continue
        try:
            entries.append((f"line {number}", json.loads(line)))
        except ValueError as error:
            raise ValueError(f"{path}: line {number}: no JSON: {error}") from None
        except RecursionError:
            raise ValueError(f"{path}: line {number}: no JSON of labels: {_json.TOO_DEEP}") from None
    return _entries.table(
        path, entries, images, absent, classes, image_key, present_key, absent_key, leave_out
    )
