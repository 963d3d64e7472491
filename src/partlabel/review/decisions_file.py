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
"""
LEASES = """
CREATE TABLE IF NOT EXISTS leases (
    image TEXT NOT NULL,
    class TEXT NOT NULL,
    desk TEXT NOT NULL,
    until REAL NOT NULL,
    drawn INTEGER,
    PRIMARY KEY (image, class)
);
CREATE INDEX IF NOT EXISTS leases_of_desk ON leases (desk);
"""
ONE_PER_DESK = "desk TEXT NOT NULL UNIQUE"
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
        columns = {row[1] for row in base.execute("PRAGMA table_info(events)")}
        for name, kind in (
            ("sheet", "INTEGER REFERENCES sheets (id)"),
            ("page", "TEXT"),
            ("added", "INTEGER"),
            ("drawn", "INTEGER"),
        ):
            if name not in columns:
                _add_column(base, name, kind)
        base.execute("CREATE INDEX IF NOT EXISTS of_page ON events (page) WHERE page IS NOT NULL")
        _open_leases(base)
    except sqlite3.DatabaseError:
        base.close()
        raise
    return base


def _open_leases(base: sqlite3.Connection) -> None:
    """Create the table of leases; that of an older file, which lacks a column or allows one per desk, is made again."""
    if _are_current(base):
        return
    base.execute("BEGIN IMMEDIATE")
    if not _are_current(base):  # another process may have been first
        base.execute("DROP TABLE IF EXISTS leases")
    for statement in LEASES.split(";")[:-1]:
        base.execute(statement)
    base.execute("COMMIT")


def _are_current(base: sqlite3.Connection) -> bool:
    """Return whether there is a table of leases, as this version writes it."""
    found = base.execute("SELECT sql FROM sqlite_master WHERE name = 'leases'").fetchone()
    return found is not None and ONE_PER_DESK not in found[0] and "drawn" in found[0]


def _add_column(base: sqlite3.Connection, name: str, kind: str) -> None:
    """Add a column of events to a file that is new or older than this column."""
    try:
        base.execute(f"ALTER TABLE events ADD COLUMN {name} {kind}")
    except sqlite3.OperationalError as error:
        if "duplicate column" not in str(error):  # another process was first
            raise
