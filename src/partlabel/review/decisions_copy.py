"""Read a log of decisions without changing its file or its folder: from a copy."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from partlabel.review.decisions import DecisionLog
from partlabel.review.decisions_file import errors_told, refuse_link

COPIES = 10
"""Attempts to copy a file that is written to meanwhile."""


@contextmanager
def opened_read_only(path: Path) -> "Iterator[DecisionLog]":
    """Open a log of decisions for reading; the file is not changed, and its folder need not be writable.

    A copy is read, because SQLite writes beside a file even to read it: its last events may be in the write-ahead log.
    A copy made while a server wrote is made again, so that both files are of the same moment.

    Args:
        path: SQLite file.

    Raises:
        OSError: The file is written to all the time.
        ValueError: The file is not a log of decisions, or is damaged.
    """
    refuse_link(path)
    with TemporaryDirectory(prefix="partlabel-") as folder:
        copy = _copied(path, Path(folder))
        with errors_told(path):
            _require_events(copy)
        decisions = DecisionLog(copy, name=path)
        try:
            yield decisions
        finally:
            decisions.close()


def _copied(path: Path, folder: Path) -> Path:
    """Copy the file and its write-ahead log, again if either changed meanwhile.

    Raises:
        OSError: They changed during every attempt.
    """
    for _ in range(COPIES):
        before = _stamps(path)
        for file in before:
            shutil.copyfile(file, folder / file.name)
        if _stamps(path) == before:
            return folder / path.name
        for file in before:
            (folder / file.name).unlink()
    raise OSError(f"{path} is written to all the time and cannot be copied: stop its server, or try again")


def _require_events(path: Path) -> None:
    """Raise an error of SQLite if a file has no events; `DecisionLog` would create the table."""
    with closing(sqlite3.connect(path)) as base:
        base.execute("SELECT id FROM events LIMIT 1")


def _stamps(path: Path) -> dict[Path, tuple[int, int]]:
    """Return size and time of change of the file and of its write-ahead log."""
    files = (path, path.with_name(path.name + "-wal"))
    return {file: (file.stat().st_size, file.stat().st_mtime_ns) for file in files if file.exists()}
