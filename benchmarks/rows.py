"""Rows of results: what they were made with, and a CSV file of them that a killed run leaves complete."""

import argparse
import csv
import json
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from made_with import commit, versions

from partlabel import LabelTable

Row = TypeVar("Row")


def stamp() -> tuple[str, str]:
    """Return the commit and the versions of the libraries that compute."""
    return commit(), json.dumps(versions("torch", "numpy"))


def options(description: str | None, out: str, images: int) -> argparse.ArgumentParser:
    """Return the options of a benchmark of a part of the training photos, three seeds, and one file of rows."""
    asked = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    asked.add_argument("--known", type=float, default=0.1)
    asked.add_argument("--images", type=int, default=images, help="training photos")
    asked.add_argument("--seeds", nargs="+", type=int, default=[3, 4, 5])
    asked.add_argument("--cache", help="folder of the feature cache")
    asked.add_argument("--out", type=Path, default=Path("benchmarks/results") / out)
    asked.add_argument("--table", type=Path, help="print the table of this file, and do nothing else")
    return asked


def read(path: Path, kind: type[Row]) -> list[Row]:
    """Read finished rows, a dataclass each; none where there is no file yet."""
    if not path.exists():
        return []
    types: dict[str, Any] = {each.name: each.type for each in fields(kind)}  # type: ignore[arg-type]
    with path.open(newline="", encoding="utf-8") as file:
        return [
            kind(**{name: make(row[name]) for name, make in types.items()}) for row in csv.DictReader(file)
        ]


def write(path: Path, rows: Sequence[Any]) -> None:
    """Write all rows, aside first, so that a killed run leaves the last complete file."""
    aside = path.with_suffix(".part")
    with aside.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow([each.name for each in fields(rows[0])])
        lines.writerows(astuple(row) for row in rows)
    aside.replace(path)


def training_rows(table: LabelTable, images: int, seed: int) -> np.ndarray:
    """Return the rows of the part `train`; of fewer than all, a sample by the seed."""
    rows = np.flatnonzero(np.array(table.split) == "train")
    if images < len(rows):
        rows = np.sort(np.random.RandomState(seed).permutation(rows)[:images])
    return rows
