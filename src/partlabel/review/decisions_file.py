"""The SQLite file of decisions: its tables, how it is opened, and its errors in words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PATIENCE = 30.0
"""Time in seconds that a write waits for other writers."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    who TEXT NOT NULL,
    desk TEXT NOT NULL,
    image TEXT NOT NULL,
    class TEXT NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('present', 'absent', 'skip', 'undo')),
    undoes INTEGER UNIQUE REFERENCES events (id),
    ask TEXT UNIQUE,
    probability REAL,
    CHECK ((what = 'undo') = (undoes IS NOT NULL))
);
CREATE TABLE IF NOT EXISTS sheets (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    who TEXT NOT NULL,
    desk TEXT NOT NULL,
    image TEXT NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('complete', 'known', 'skip', 'undo')),
    undoes INTEGER UNIQUE REFERENCES sheets (id),
    ask TEXT UNIQUE,
    CHECK ((outcome = 'undo') = (undoes IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS of_desk ON events (desk, id);
CREATE TRIGGER IF NOT EXISTS never_changed BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never changed: record an undo instead'); END;
CREATE TRIGGER IF NOT EXISTS never_deleted BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never deleted: record an undo instead'); END;
CREATE TRIGGER IF NOT EXISTS sheets_never_changed BEFORE UPDATE ON sheets
    BEGIN SELECT RAISE(ABORT, 'sheets are never changed: record an undo instead'); END;
CREATE TRIGGER IF NOT EXISTS sheets_never_deleted BEFORE DELETE ON sheets
    BEGIN SELECT RAISE(ABORT, 'sheets are never deleted: record an undo instead'); END;
CREATE TABLE IF NOT EXISTS leases (
    image TEXT NOT NULL,
    class TEXT NOT NULL,
    desk TEXT NOT NULL UNIQUE,
    until REAL NOT NULL,
    PRIMARY KEY (image, class)
);
"""
FIX = "move it away to start a new one"


def refuse_link(path: Path) -> None:
    """Check that the path is not a link, which would redirect writes to another file.

    Raises:
        ValueError: The path is a link or a special file.
    """
    if path.is_symlink() or (path.exists() and not path.is_file() and not path.is_dir()):
        raise ValueError(
            f"{path} is a link or a special file, but decisions must be in a regular file of the run: {FIX}"
        )


@contextmanager
def errors_told(path: Path) -> Iterator[None]:
    """Convert errors of SQLite to errors that name the file.

    Raises:
        OSError: The disk is full, or the file cannot be written.
        ValueError: The file is damaged, or is not a log of decisions.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        reason = str(error)
        if "full" in reason or "disk I/O" in reason:
            raise OSError(f"cannot write {path}: {reason}") from error
        if "no such" in reason or "has no column" in reason:
            raise ValueError(f"{path} is not a log of decisions: {reason}; {FIX}") from error
        raise ValueError(
            f"{path} cannot be opened as a log of decisions: {reason}; make it and its folder writable, or {FIX}"
        ) from error
    except sqlite3.Error as error:
        raise ValueError(f"{path} is not a log of decisions: {error}; {FIX}") from error


def open_database(path: Path) -> sqlite3.Connection:
    """Open the file, and create the tables that it lacks."""
    base = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        base.execute("PRAGMA trusted_schema = OFF")
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = FULL")
        base.execute("PRAGMA foreign_keys = ON")
        base.executescript(SCHEMA)
        if "sheet" not in {row[1] for row in base.execute("PRAGMA table_info(events)")}:
            _add_sheets(base)
    except sqlite3.DatabaseError:
        base.close()
        raise
    return base


def _add_sheets(base: sqlite3.Connection) -> None:
    """Add the sheet column to a file that is new or older than sheets."""
    try:
        base.execute("ALTER TABLE events ADD COLUMN sheet INTEGER REFERENCES sheets (id)")
    except sqlite3.OperationalError as error:
        if "duplicate column" not in str(error):  # another process was first
            raise
