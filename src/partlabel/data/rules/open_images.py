"""Open Images' hierarchy: `bbox_labels_600_hierarchy.json`, and beside it `class-descriptions*.csv` with the names."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from partlabel.core.files import read_json
from partlabel.core.rules import ClassRule, Rules

ROOT = "Entity"
"""Name of the class at the top, which every image shows."""


def recognises(path: Path) -> bool:
    """Return whether the file is JSON with `LabelName` and `Subcategory`."""
    if not path.is_file() or path.suffix.lower() != ".json":
        return False
    content = read_json(path)
    return isinstance(content, dict) and "LabelName" in content and "Subcategory" in content


def read(path: Path) -> Rules:
    """Read the subcategories; a class that is only a part of another (`Part`) does not imply it.

    Ids such as `/m/0bt9lr` become names by the file `class-descriptions*.csv` in the same folder, if there is one.
    """
    names = _names(path.parent)
    top = read_json(path)["LabelName"]
    pairs = dict.fromkeys(_pairs(path, read_json(path)))
    rules = [
        ClassRule("implies", (names.get(child, child), names.get(parent, parent)))
        for child, parent in pairs
        if parent != top
        and names.get(parent) != ROOT
        and names.get(child, child) != names.get(parent, parent)
    ]
    return Rules(tuple(rules), (), str(path), names_all=False)


def _pairs(path: Path, node: Any) -> Iterator[tuple[str, str]]:
    """Yield each class with the one above it."""
    ahead = [node]
    while ahead:
        here = ahead.pop()
        for below in here.get("Subcategory", ()):
            if not isinstance(below, dict) or not isinstance(below.get("LabelName"), str):
                raise ValueError(
                    f"{path}: a subcategory of {here.get('LabelName')!r} has no LabelName; download it again"
                )
            yield below["LabelName"], here["LabelName"]
            ahead.append(below)


def _names(folder: Path) -> dict[str, str]:
    """Return the names of ids."""
    found: dict[str, str] = {}
    for file in sorted(folder.glob("*class-descriptions*.csv")):
        with file.open(newline="", encoding="utf-8-sig") as opened:
            found |= {row[0]: row[1] for row in csv.reader(opened) if len(row) > 1}
    return found
