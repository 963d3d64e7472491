"""CelebA's attribute list (Liu et al., 2015): a count, the names, then per line an image and 1 or -1 for each name.

`list_attr_celeba.txt`, and lists of other datasets in the same format; cells are separated by spaces.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.text_files import lines_of
from partlabel.data.readers._build import build_table
from partlabel.data.tables.label_table import Absent, LabelTable

ABSENCE = {
    "unknown": "absent is -1 (or 0), unless minus_one is unknown",
    "negative": "absent is -1 (or 0), and every unknown label",
}
_LOOKED = 4096  # bytes


def recognises(path: Path) -> bool:
    """Return whether a text file starts with a number, a line of names and a line with one number per name."""
    if not path.is_file() or path.suffix.lower() != ".txt":
        return False
    with path.open("rb") as file:
        lines = file.read(_LOOKED).decode("utf-8", "replace").splitlines()
    if len(lines) < 3 or not lines[0].strip().isdigit():
        return False
    names = lines[1].split()
    cells = lines[2].rsplit(maxsplit=max(len(names), 1))  # a path may have spaces
    return len(cells) == len(names) + 1 and set(cells[1:]) <= {"1", "-1", "0"}


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    minus_one: Literal["unknown", "absent"] = "absent",
) -> LabelTable:
    """Read an attribute list.

    Args:
        path: Attribute list, such as `list_attr_celeba.txt`.
        images: Image folder; by default paths are relative to the list's folder.
        absent: `negative` makes unknown labels ABSENT; there are unknown labels only if `minus_one` is `unknown`.
        minus_one: Meaning of -1; in CelebA, the attribute is absent.

    Raises:
        ValueError: A line has another number of cells than there are names, a cell is not 1, 0 or -1, or the number of
            lines differs from the count in the first line.
    """
    count, names, *lines = (line for line in lines_of(path) if line.strip())
    classes = names.split()
    codes = {"1": PRESENT, "0": ABSENT, "-1": UNKNOWN if minus_one == "unknown" else ABSENT}
    if len(lines) != int(count):
        raise ValueError(
            f"{path}: line 1 announces {count.strip()} images, but {len(lines)} follow; is the file truncated?"
        )
    images_listed, labels = [], np.empty((len(lines), len(classes)), np.int8)
    for row, line in enumerate(lines):
        cells = line.rsplit(maxsplit=len(classes))  # a path may have spaces
        if len(cells) != len(classes) + 1:
            raise ValueError(f"{path}: line {row + 3} has {len(cells) - 1} labels for {len(classes)} names")
        wrong = [cell for cell in cells[1:] if cell not in codes]
        if wrong:
            raise ValueError(f"{path}: line {row + 3} ({cells[0]}): {wrong[0]!r} is not 1, 0 or -1")
        images_listed.append(cells[0].strip())
        labels[row] = [codes[cell] for cell in cells[1:]]
    return build_table(path, images_listed, classes, labels, absent=absent, root=images or path.parent)
