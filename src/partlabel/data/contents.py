"""What image files hold, as a hash of their bytes, each file read once.

A file's hash is remembered with its size and time of change, and taken from there as long as both are the same; a
copy, another machine or a fresh checkout then finds what was computed of the same bytes. A change that keeps size and
time to the nanosecond goes unseen, as it does for `rsync`.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path

import polars as pl

from partlabel.data.aside import written_aside
from partlabel.data.opening import regular
from partlabel.data.table import LabelTable
from partlabel.progress import track

THREADS = 4
SETTLED = 2.0
"""Seconds after which a file's time of change tells a later change apart, on any file system."""
COLUMNS = {"image": pl.String, "size": pl.Int64, "time": pl.Int64, "hash": pl.String}


def hashes(table: LabelTable, memory: Path) -> list[str]:
    """The hash of each image's bytes.

    Args:
        table: With a root.
        memory: A folder for what is remembered.

    Raises:
        FileNotFoundError: An image is missing.
    """
    root = blake2b(str(Path(table.root or ".").resolve()).encode(), digest_size=8).hexdigest()
    book = memory / f"{root}.parquet"
    remembered = _read(book)
    stats = [table.path(row).stat() for row in range(len(table))]
    keys = [(image, s.st_size, s.st_mtime_ns) for image, s in zip(table.images, stats, strict=True)]
    new = [row for row, key in enumerate(keys) if key not in remembered]
    found = dict(zip((keys[row] for row in new), _hash_all([table.path(row) for row in new]), strict=True))
    settled = time.time_ns() - int(SETTLED * 1e9)
    if kept := {key: value for key, value in found.items() if key[2] < settled}:
        _write(book, remembered | kept)
    return [remembered.get(key) or found[key] for key in keys]


def _hash_all(paths: Sequence[Path]) -> list[str]:
    if not paths:
        return []
    with ThreadPoolExecutor(THREADS) as pool:
        return list(track(pool.map(_hash, paths), "Hashing images", len(paths)))


def _hash(path: Path) -> str:
    with open(regular(path), "rb") as file:
        return blake2b(file.read(), digest_size=16).hexdigest()


def _read(book: Path) -> dict[tuple[str, int, int], str]:
    try:
        rows = pl.read_parquet(book, columns=list(COLUMNS)).rows()
    except (OSError, pl.exceptions.PolarsError):  # none yet, or damaged: all is hashed again
        return {}
    return {(image, size, changed): value for image, size, changed, value in rows}


def _write(book: Path, known: dict[tuple[str, int, int], str]) -> None:
    rows = [(*key, value) for key, value in known.items()]
    with written_aside(book) as aside:
        pl.DataFrame(rows, schema=COLUMNS, orient="row").write_parquet(aside)
