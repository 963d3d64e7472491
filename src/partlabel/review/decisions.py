"""What people decided: a log of events that only grows, in one SQLite file, and who is being asked what.

Every answer is an event with who, when, image, class and what; taking one back is an event too. What stands is what
the events add up to (`Tally`), so nothing that anybody ever said is lost, and it can be told how a label came about.
SQLite's write-ahead log lets many read while one writes; an answer is on the disk before the page hears of it, so that
a killed server, or a machine without power, forgets nothing.

A question is *leased*: while one desk (a browser) has it, no other gets it, until the lease runs out. Leases keep work
from being done twice; an answer that comes after its lease is an answer all the same.
"""

import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

from partlabel.codes import ABSENT, PRESENT, UNKNOWN

Answer = Literal["present", "absent", "skip"]
CODES = {"present": PRESENT, "absent": ABSENT}
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
CREATE INDEX IF NOT EXISTS of_desk ON events (desk, id);
CREATE TRIGGER IF NOT EXISTS never_changed BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never changed: take one back by an undo'); END;
CREATE TRIGGER IF NOT EXISTS never_deleted BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are never deleted: take one back by an undo'); END;
CREATE TABLE IF NOT EXISTS leases (
    image TEXT NOT NULL,
    class TEXT NOT NULL,
    desk TEXT NOT NULL UNIQUE,
    until REAL NOT NULL,
    PRIMARY KEY (image, class)
);
"""


class Cell(NamedTuple):
    """A label, by the names of its image and class."""

    image: str
    cls: str


class Event(NamedTuple):
    """Something that somebody decided.

    Attributes:
        id: In the order of time.
        at: When, in UTC, as ISO 8601.
        who: Their name.
        desk: Their browser.
        image: As the table names it.
        cls: The class.
        what: `present`, `absent`, `skip` or `undo`.
        undoes: The id of the event that is taken back.
        probability: What the page said of it; None where it hid that.
    """

    id: int
    at: str
    who: str
    desk: str
    image: str
    cls: str
    what: str
    undoes: int | None
    probability: float | None

    @property
    def cell(self) -> Cell:
        """What it is about."""
        return Cell(self.image, self.cls)


_MEND = "move it away to begin anew"
COLUMNS = "id, at, who, desk, image, class, what, undoes, probability"


class Tally:
    """What events add up to: of each person the last answer not taken back, of each label the last of those."""

    def __init__(self) -> None:
        self.answers: dict[Cell, list[Event]] = {}
        self._skipped: dict[str, set[Cell]] = {}
        self._counts: dict[str, int] = {}

    def add(self, event: Event) -> None:
        """Count one more event; they come in their order."""
        before = self.standing(event.cell)
        answers = self.answers.setdefault(event.cell, [])
        if event.what == "undo":
            answers[:] = [answer for answer in answers if answer.id != event.undoes]
        else:
            answers.append(event)
        if not answers:
            del self.answers[event.cell]
        after = self.standing(event.cell)
        for standing, sign in ((before, -1), (after, 1)):
            for who, answer in standing.items():
                if answer.what != "skip":
                    self._counts[who] = self._counts.get(who, 0) + sign
        for who in before.keys() | after.keys():
            skipped = self._skipped.setdefault(who, set())
            skipped.discard(event.cell)
            if who in after and after[who].what == "skip":
                skipped.add(event.cell)

    def standing(self, cell: Cell) -> dict[str, Event]:
        """The last answer of each person, who answered last coming last."""
        found: dict[str, Event] = {}
        for answer in self.answers.get(cell, ()):
            found.pop(answer.who, None)
            found[answer.who] = answer
        return found

    def last(self, cell: Cell) -> Event | None:
        """Who answered last; None where nobody did, or all skipped."""
        said = [answer for answer in self.standing(cell).values() if answer.what != "skip"]
        return said[-1] if said else None

    def label(self, cell: Cell) -> int:
        """PRESENT or ABSENT by who answered last; UNKNOWN where nobody did, or all skipped."""
        last = self.last(cell)
        return UNKNOWN if last is None else CODES[last.what]

    def disagrees(self, cell: Cell) -> bool:
        """Whether people say different things of it."""
        return len({answer.what for answer in self.standing(cell).values()} - {"skip"}) > 1

    def skipped(self, who: str) -> frozenset[Cell]:
        """What a person could not tell, as it stands."""
        return frozenset(self._skipped.get(who, ()))

    def counts(self) -> dict[str, int]:
        """How many answers of each person stand, skips aside, the most first."""
        standing = ((who, count) for who, count in self._counts.items() if count)
        return dict(sorted(standing, key=lambda item: (-item[1], item[0])))


class Decisions:
    """The file of events and leases. Any number of threads and processes may have it open.

    Args:
        path: The file; it need not exist yet.
        lease: Seconds that a question is one desk's alone.
        clock: Tells the time, in seconds since 1970.

    Raises:
        ValueError: The file is something else, or cannot be opened.
    """

    def __init__(self, path: Path, lease: float = LEASE, clock: Callable[[], float] = time.time) -> None:
        self.path, self.lease, self.clock = path, lease, clock
        _refuse_link(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        with _told(path):
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

    def claim(self, desk: str, choose: Callable[[frozenset[Cell], Cell | None], Cell | None]) -> Cell | None:
        """Lease a question to a desk, which lets go of the one it had.

        Args:
            desk: Whose it will be.
            choose: From what is leased to others, and what this desk has, to what it gets. No other desk gets or
                answers anything meanwhile.
        """
        with self._writing() as base:
            now = self.clock()
            base.execute("DELETE FROM leases WHERE until <= ?", (now,))
            rows = base.execute("SELECT image, class, desk FROM leases").fetchall()
            others = frozenset(Cell(image, cls) for image, cls, owner in rows if owner != desk)
            own = next((Cell(image, cls) for image, cls, owner in rows if owner == desk), None)
            cell = choose(others, own)
            base.execute("DELETE FROM leases WHERE desk = ?", (desk,))
            if cell is not None and cell not in others:
                base.execute("INSERT INTO leases VALUES (?, ?, ?, ?)", (*cell, desk, now + self.lease))
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
        """Take a desk's last answer back.

        Returns:
            The answer; None if there is none.
        """
        with self._writing() as base:
            last = self.last(desk)
            if last is not None:
                base.execute(
                    "INSERT INTO events (at, who, desk, image, class, what, undoes) "
                    "VALUES (?, ?, ?, ?, ?, 'undo', ?)",
                    (self._now(), who, desk, *last.cell, last.id),
                )
            return last

    def _now(self) -> str:
        return datetime.fromtimestamp(self.clock(), UTC).isoformat(timespec="milliseconds")


@contextmanager
def copied(path: Path) -> Iterator[Decisions]:
    """The decisions in a file as they are now, in a copy: the file is not changed, nor need its folder be writable.

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
        try:
            decisions = Decisions(copy)
            try:
                yield decisions
            finally:
                decisions.close()
        except ValueError as error:
            raise ValueError(str(error).replace(str(copy), str(path))) from error


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
    except sqlite3.DatabaseError:
        base.close()
        raise
    return base


def new_name() -> str:
    """A name that nobody can guess and nothing else has: of a desk, of a question as it was put."""
    return secrets.token_urlsafe(12)
