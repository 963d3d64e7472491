"""What people decided: a log of events that only grows, in one SQLite file, and who is being asked what.

Every answer is an event with who, when, image, class and what; taking one back is an event too. What stands is what
the events add up to (`events.Tally`), so nothing that anybody ever said is lost.
SQLite's write-ahead log lets many read while one writes; an answer is on the disk before the page hears of it, so that
a killed server, or a machine without power, forgets nothing.

A photo of a calibration set is answered as a whole: a *sheet*, which says that the photo was drawn at random and that
every class was answered, with one event for each class. Sheets only grow, too, and are taken back as a whole.

A question is *leased*: while one desk (a browser) has it, no other gets it, until the lease runs out. Leases keep work
from being done twice; an answer that comes after its lease is an answer all the same.
"""

import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

from partlabel.review.events import Answer, Cell, Event, Outcome, Sheet, Tally

EMPTY: Mapping[str, Answer] = MappingProxyType({})
LEASE = 120.0
"""Seconds that a question is one desk's alone."""
PATIENCE = 30.0
"""Seconds that a write waits for others."""

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
    BEGIN SELECT RAISE(ABORT, 'events are never changed: take one back by an undo'); END;
CREATE TRIGGER IF NOT EXISTS never_deleted BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never deleted: take one back by an undo'); END;
CREATE TRIGGER IF NOT EXISTS sheets_never_changed BEFORE UPDATE ON sheets
    BEGIN SELECT RAISE(ABORT, 'sheets are never changed: take one back by an undo'); END;
CREATE TRIGGER IF NOT EXISTS sheets_never_deleted BEFORE DELETE ON sheets
    BEGIN SELECT RAISE(ABORT, 'sheets are never deleted: take one back by an undo'); END;
CREATE TABLE IF NOT EXISTS leases (
    image TEXT NOT NULL,
    class TEXT NOT NULL,
    desk TEXT NOT NULL UNIQUE,
    until REAL NOT NULL,
    PRIMARY KEY (image, class)
);
"""


COLUMNS = "id, at, who, desk, image, class, what, undoes, probability, sheet"
SHEET_COLUMNS = "id, at, who, desk, image, outcome, undoes"
_MEND = "move it away to begin anew"


class DecisionLog:
    """The file of events and leases. Any number of threads and processes may have it open.

    Args:
        path: The file; it need not exist yet.
        lease: Seconds that a question is one desk's alone.
        clock: Tells the time, in seconds since 1970.

    Raises:
        ValueError: The file is something else, or cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        lease: float = LEASE,
        clock: Callable[[], float] = time.time,
        name: Path | None = None,
    ) -> None:
        self.path, self.lease, self.clock = name or path, lease, clock
        _refuse_link(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        with _told(self.path):
            self._base = _opened(path)

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it or nothing, and nobody else writes meanwhile."""
        with self._lock, _told(self.path):
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk may have ended the transaction already
                    self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    def since(self, last: int = 0) -> list[Event]:
        """The events after one, in their order."""
        with self._lock, _told(self.path):
            found = self._base.execute(f"SELECT {COLUMNS} FROM events WHERE id > ? ORDER BY id", (last,))
            return [_event(self.path, row) for row in found]

    def tally(self) -> Tally:
        """What all events add up to."""
        tally = Tally()
        for event in self.since():
            tally.add(event)
        return tally

    def claim(
        self,
        desk: str,
        choose: Callable[[frozenset[Cell], Cell | None], Cell | None],
        seconds: float | None = None,
    ) -> Cell | None:
        """Lease a question to a desk, which lets go of the one it had.

        Args:
            desk: Whose it will be.
            choose: From what is leased to others, and what this desk has, to what it gets. No other desk gets or
                answers anything meanwhile.
            seconds: How long; as the review has it if None.
        """
        with self._writing() as base:
            now = self.clock()
            until = now + (self.lease if seconds is None else seconds)
            base.execute("DELETE FROM leases WHERE until <= ?", (now,))
            rows = base.execute("SELECT image, class, desk FROM leases").fetchall()
            others = frozenset(Cell(image, cls) for image, cls, owner in rows if owner != desk)
            own = next((Cell(image, cls) for image, cls, owner in rows if owner == desk), None)
            cell = choose(others, own)
            base.execute("DELETE FROM leases WHERE desk = ?", (desk,))
            if cell is not None and cell not in others:
                base.execute("INSERT INTO leases VALUES (?, ?, ?, ?)", (*cell, desk, until))
            return cell

    def answer(
        self, ask: str, desk: str, who: str, cell: Cell, what: Answer, probability: float | None = None
    ) -> bool:
        """Write an answer down.

        Args:
            ask: Of the question as it was put: sent twice, it counts once.
            desk: The browser.
            who: The person.
            cell: What was asked about.
            what: The answer.
            probability: What the page said of it; None where it hid that.

        Returns:
            Whether it is new.
        """
        with self._writing() as base:
            row = (self._now(), who, desk, *cell, what, ask, probability)
            written = base.execute(
                "INSERT INTO events (at, who, desk, image, class, what, ask, probability) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (ask) DO NOTHING",
                row,
            )
            base.execute("DELETE FROM leases WHERE desk = ?", (desk,))
            return written.rowcount == 1

    def sheets(self) -> list[Sheet]:
        """The sheets that stand, in their order: those not taken back."""
        with self._lock, _told(self.path):
            found = self._base.execute(
                f"SELECT {SHEET_COLUMNS} FROM sheets WHERE outcome != 'undo' "
                "AND id NOT IN (SELECT undoes FROM sheets WHERE undoes IS NOT NULL) ORDER BY id"
            )
            return [Sheet(*row) for row in found]

    def add_sheet(
        self,
        ask: str,
        desk: str,
        who: str,
        image: str,
        outcome: Outcome,
        answers: Mapping[str, Answer] = EMPTY,
    ) -> bool:
        """Write a whole photo down: all its answers or none.

        Args:
            ask: Of the photo as it was shown: sent twice, it counts once.
            desk: The browser.
            who: The person.
            image: The photo.
            outcome: `complete` with answers, `known` or `skip` without.
            answers: One for each class.

        Returns:
            Whether it is new.
        """
        with self._writing() as base:
            written = base.execute(
                "INSERT INTO sheets (at, who, desk, image, outcome, ask) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (ask) DO NOTHING",
                (self._now(), who, desk, image, outcome, ask),
            )
            if outcome != "known":
                base.execute("DELETE FROM leases WHERE desk = ?", (desk,))
            if written.rowcount != 1:
                return False
            base.executemany(
                "INSERT INTO events (at, who, desk, image, class, what, sheet) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (self._now(), who, desk, image, cls, what, written.lastrowid)
                    for cls, what in answers.items()
                ],
            )
            return True

    def last_sheet(self, desk: str) -> Sheet | None:
        """The last sheet of a desk that it has not taken back."""
        mine = [sheet for sheet in self.sheets() if sheet.desk == desk and sheet.outcome != "known"]
        return mine[-1] if mine else None

    def undo_sheet(self, desk: str, who: str) -> Sheet | None:
        """Take a desk's last sheet back, with all its answers.

        Returns:
            The sheet; None if there is none.
        """
        with self._writing() as base:
            last = self.last_sheet(desk)
            if last is not None:
                self._take_back(base, last.id, desk, who)
            return last

    def _take_back(self, base: sqlite3.Connection, sheet: int, desk: str, who: str) -> None:
        now = self._now()
        base.execute(
            "INSERT INTO sheets (at, who, desk, image, outcome, undoes) "
            "SELECT ?, ?, ?, image, 'undo', id FROM sheets WHERE id = ?",
            (now, who, desk, sheet),
        )
        base.execute(
            "INSERT INTO events (at, who, desk, image, class, what, undoes, sheet) "
            "SELECT ?, ?, ?, image, class, 'undo', id, sheet FROM events WHERE sheet = ? AND what != 'undo'",
            (now, who, desk, sheet),
        )

    def last(self, desk: str) -> Event | None:
        """What a desk can take back: its last answer that it has not taken back."""
        with self._lock, _told(self.path):
            row = self._base.execute(
                f"SELECT {COLUMNS} FROM events WHERE desk = ? AND what != 'undo' "
                "AND id NOT IN (SELECT undoes FROM events WHERE undoes IS NOT NULL) ORDER BY id DESC LIMIT 1",
                (desk,),
            ).fetchone()
            return None if row is None else Event(*row)

    def undo(self, desk: str, who: str) -> Event | None:
        """Take a desk's last answer back; where it is part of a sheet, the sheet.

        Returns:
            The answer; None if there is none.
        """
        with self._writing() as base:
            last = self.last(desk)
            if last is not None and last.sheet is not None:
                self._take_back(base, last.sheet, desk, who)
            elif last is not None:
                base.execute(
                    "INSERT INTO events (at, who, desk, image, class, what, undoes) "
                    "VALUES (?, ?, ?, ?, ?, 'undo', ?)",
                    (self._now(), who, desk, *last.cell, last.id),
                )
            return last

    def _now(self) -> str:
        return datetime.fromtimestamp(self.clock(), UTC).isoformat(timespec="milliseconds")


@contextmanager
def copied(path: Path) -> "Iterator[DecisionLog]":
    """Open a copy of a file of decisions; the file is not changed, and its folder need not be writable.

    Args:
        path: The file.

    Raises:
        ValueError: The file is something else, or damaged.
    """
    _refuse_link(path)
    with TemporaryDirectory(prefix="partlabel-") as folder:
        # SQLite writes beside a file even to read it, as its last events may be in the log beside it.
        copy = Path(folder) / path.name
        for suffix in ("", "-wal"):
            if (beside := path.with_name(path.name + suffix)).exists():
                shutil.copyfile(beside, copy.with_name(copy.name + suffix))
        decisions = DecisionLog(copy, name=path)
        try:
            yield decisions
        finally:
            decisions.close()


def _event(path: Path, row: tuple[Any, ...]) -> Event:
    """A row of the file, which may come from anybody.

    Raises:
        ValueError: It is no event.
    """
    event = Event(*row)
    texts = (event.at, event.who, event.desk, event.image, event.cls)
    whats = ("present", "absent", "skip", "undo")
    if not all(isinstance(text, str) for text in texts) or event.what not in whats:
        raise ValueError(f"{path}: event {event.id!r} is no decision; the file is damaged: {_MEND}")
    return event


def _refuse_link(path: Path) -> None:
    """See that decisions are in a file of the run's own: a link would have another file written to.

    Raises:
        ValueError: They are not.
    """
    if path.is_symlink() or (path.exists() and not path.is_file() and not path.is_dir()):
        raise ValueError(
            f"{path} is a link or a pipe: decisions are kept in a file of the run's own; {_MEND}"
        )


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Inside, errors of SQLite name the file.

    Raises:
        OSError: The disk is full, or the file cannot be written.
        ValueError: It is damaged, or something else.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        said = str(error)
        if "full" in said or "disk I/O" in said:
            raise OSError(f"cannot write {path}: {said}") from error
        if "no such" in said or "has no column" in said:
            raise ValueError(f"{path} holds no decisions: {said}; {_MEND}") from error
        raise ValueError(
            f"{path} cannot be opened as decisions: {said}; see that it and its folder may be written, or {_MEND}"
        ) from error
    except sqlite3.Error as error:
        raise ValueError(f"{path} holds no decisions: {error}; {_MEND}") from error


def _opened(path: Path) -> sqlite3.Connection:
    """The file, with what decisions need in it."""
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
    """Give events their sheet, in a file that is new or from before there were sheets."""
    try:
        base.execute("ALTER TABLE events ADD COLUMN sheet INTEGER REFERENCES sheets (id)")
    except sqlite3.OperationalError as error:
        if "duplicate column" not in str(error):  # another process was first
            raise


def new_name() -> str:
    """A name that nobody can guess and nothing else has: of a desk, of a question as it was put."""
    return secrets.token_urlsafe(12)
