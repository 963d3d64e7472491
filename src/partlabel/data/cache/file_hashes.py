"""Hashes of the bytes of image files, each file read once.

A file's hash is stored with its size and modification time, and reused as long as both are the same; a copy, another
machine or a fresh checkout then finds what was computed from the same bytes. A change that keeps the size and the time
to the nanosecond is not detected, as with `rsync`.
"""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import polars as pl

from partlabel.core.files import atomic_write, sweep
from partlabel.core.progress_bar import track
from partlabel.data.images.opening import regular
from partlabel.data.tables.label_table import LabelTable

MEMORY = "contents"
"""Subfolder of a feature cache where hashes are stored."""
THREADS = 4
SETTLED = 2.0
"""Age in seconds from which a file's modification time detects a later change, on any file system."""
COLUMNS = {"image": pl.String, "size": pl.Int64, "time": pl.Int64, "hash": pl.String}


def hashes(table: LabelTable, memory: Path) -> list[str]:
    """Compute the hash of each image's bytes.

    Args:
        table: Table with an image folder.
        memory: Folder of stored hashes.

    Raises:
        OSError: A file cannot be read.
    """
    found = []
    for each in hashes_or_faults(table, memory):
        if isinstance(each, OSError):
            raise each
        found.append(each)
    return found


def hashes_or_faults(table: LabelTable, memory: Path) -> list[str | OSError]:
    """Compute the hash of each image's bytes, or return the error of reading its file; arguments as `hashes`."""
    book = _book(table, memory)
    remembered = _read(book)
    keys = _keys(table)
    new = [row for row, key in enumerate(keys) if isinstance(key, tuple) and key not in remembered]
    found = dict(zip((keys[row] for row in new), _hash_all([table.path(row) for row in new]), strict=True))
    settled = time.time_ns() - int(SETTLED * 1e9)
    kept = {
        key: value
        for key, value in found.items()
        if isinstance(key, tuple) and isinstance(value, str) and key[2] < settled
    }
    if kept:
        _write(book, remembered | kept)
    return [key if isinstance(key, OSError) else remembered.get(key) or found[key] for key in keys]


def remembered(table: LabelTable, memory: Path) -> list[str | None]:
    """Return the stored hashes without reading an image; None for the others. Arguments as `hashes`."""
    known = _read(_book(table, memory))
    if not known:
        return [None] * len(table)
    return [None if isinstance(key, OSError) else known.get(key) for key in _keys(table)]


def _book(table: LabelTable, memory: Path) -> Path:
    root = blake2b(str(Path(table.root or ".").resolve()).encode(), digest_size=8).hexdigest()
    return memory / f"{root}.parquet"


def _keys(table: LabelTable) -> list[tuple[str, int, int] | OSError]:
    """Return name, size and modification time of each image, or the error of looking it up."""
    found: list[tuple[str, int, int] | OSError] = []
    for row, image in enumerate(table.images):
        try:
            known = table.path(row).stat()
            found.append((image, known.st_size, known.st_mtime_ns))
        except OSError as error:
            found.append(error)
    return found


def _hash_all(paths: Sequence[Path]) -> list[str | OSError]:
    if not paths:
        return []
    with ThreadPoolExecutor(THREADS) as pool:
        return list(track(pool.map(_hash, paths), "Hashing photos", len(paths), "photos"))


def _hash(path: Path) -> str | OSError:
    try:
        with open(regular(path), "rb") as file:
            return blake2b(file.read(), digest_size=16).hexdigest()
    except OSError as error:
        return error


def _read(book: Path) -> dict[tuple[str, int, int], str]:
    try:
        rows = pl.read_parquet(book, columns=list(COLUMNS)).rows()
    except (OSError, pl.exceptions.PolarsError):  # missing or damaged: all images are hashed again
        return {}
    return {(image, size, changed): value for image, size, changed, value in rows}


def _write(book: Path, known: dict[tuple[str, int, int], str]) -> None:
    rows = [(*key, value) for key, value in known.items()]
    sweep(book.parent)
    # Another machine, on which this process does not run, may have deleted it: then the images are hashed again.
    with suppress(FileNotFoundError), atomic_write(book) as aside:
        pl.DataFrame(rows, schema=COLUMNS, orient="row").write_parquet(aside)
