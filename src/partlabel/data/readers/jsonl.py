"""JSON Lines: one image per line, with the names of its present and absent classes.

`{"image": "a.jpg", "present": ["dog"], "absent": ["cat"], "split": "train"}`; `absent` and `split` are optional. The
output of `partlabel fill` is read too: `{"image": "a.jpg", "labels": {"dog": {"label": 1, "p": 0.98}, ...}}`, with 1,
0 or null as the label, also without the inner object: `{"labels": {"dog": 1}}`. A key `source` gives the origin of
labels: of one class, beside its label; of a whole line with lists, beside them. A line may also have one key per class.
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
    """Return whether a file ends in `.jsonl` or `.ndjson`, or is a `.json` with one object per line."""
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
    """Read a JSON Lines file.

    Args:
        path: JSON Lines file.
        images: Image folder; by default paths are relative to the file's folder.
        absent: Meaning of a class in neither list; required if no line has a list of absent classes.
        classes: All classes in their order; by default those that occur, in alphabetical order.
        image_key: Key of the image path; by default `image`, `file_name`, `path`, ....
        present_key: Key of the present classes; by default `present`, `labels`, `tags`, ....
        absent_key: Key of the absent classes.
        leave_out: Keys that are not classes, if each class has its own key.

    Raises:
        ValueError: A line is not such an object, or has a class both as present and as absent; some lines have a
            `split` and others do not.
    """
    entries = []
    for number, line in enumerate(lines_of(path), start=1):
        if not line.strip():
            continue
        try:
            entries.append((f"line {number}", json.loads(line)))
        except ValueError as error:
            raise ValueError(f"{path}: line {number}: not JSON: {error}") from None
        except RecursionError:
            raise ValueError(f"{path}: line {number}: not JSON of labels: {_json.TOO_DEEP}") from None
    return _entries.table(
        path, entries, images, absent, classes, image_key, present_key, absent_key, leave_out
    )
