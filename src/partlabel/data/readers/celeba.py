"""CelebA's list of attributes (Liu et al., 2015): a count, the names, then an image and 1 or -1 for each name a line.

`list_attr_celeba.txt`, and the lists of other collections that are written alike; spaces stand between cells.
"""

from pathlib import Path
from typing import Literal

import numpy as np

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.text_files import lines_of
from partlabel.data.readers._build import build_table
from partlabel.data.tables.label_table import Absent, LabelTable

ABSENCE = {
    "unknown": "absent is -1 (or 0), unless -1 is said to mean unknown",
    "negative": "absent is -1 (or 0), and what is said to be unknown",
}
_LOOKED = 4096  # bytes


def recognises(path: Path) -> bool:
    """A text file whose first line is a number and whose third has a number for each name of the second."""
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
    """Read a list of attributes.

    Args:
        path: `list_attr_celeba.txt` and the like.
        images: The image folder; without it, paths start from the folder of the file.
        absent: `negative` makes what is unknown ABSENT; only with `minus_one` is anything unknown.
        minus_one: What -1 means; in CelebA, that the attribute is absent.

    Raises:
        ValueError: A line has more or fewer cells than there are names, or a cell is none of 1, 0 and -1; the number of
            lines is not the one that the first says.
    """
    count, names, *lines = (line for line in lines_of(path) if line.strip())
    classes = names.split()
    codes = {"1": PRESENT, "0": ABSENT, "-1": UNKNOWN if minus_one == "unknown" else ABSENT}
    if len(lines) != int(count):
        raise ValueError(
            f"{path}: line 1 says {count.strip()} images, and {len(lines)} follow; is it cut off?"
        )
    images_listed, labels = [], np.empty((len(lines), len(classes)), np.int8)
    for row, line in enumerate(lines):
        cells = line.rsplit(maxsplit=len(classes))  # a path may have spaces
        if len(cells) != len(classes) + 1:
            raise ValueError(f"{path}: line {row + 3} has {len(cells) - 1} labels for {len(classes)} names")
        wrong = [cell for cell in cells[1:] if cell not in codes]
        if wrong:
            raise ValueError(f"{path}: line {row + 3} ({cells[0]}): {wrong[0]!r} is none of 1, 0 and -1")
        images_listed.append(cells[0].strip())
        labels[row] = [codes[cell] for cell in cells[1:]]
    return build_table(path, images_listed, classes, labels, absent=absent, root=images or path.parent)
