"""Log of decisions: an append-only list of events in one SQLite file, and the leases of questions.

Every answer is an event with person, time, image, class and answer; undoing one is an event too. The current labels
follow from all events (`events.Tally`), so no answer is ever lost. SQLite's write-ahead log allows many readers beside
one writer; an answer is on disk before the page confirms it, so that a killed server or a power failure loses nothing.

An image of a calibration set is answered as a whole: a *sheet* records that the image was drawn at random and that
every class was answered, with one event per class. Sheets are append-only, too, and are undone as a whole.

A question is *leased* to one desk (a browser session): no other desk gets it until the lease expires. Leases avoid
duplicate work; an answer that arrives after its lease has expired is still recorded.
"""

import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from partlabel.review.decisions_file import FIX, errors_told, open_database, refuse_link
from partlabel.review.events import Answer, Cell, Event, Outcome, Sheet, Tally

NO_ANSWERS: Mapping[str, Answer] = MappingProxyType({})
LEASE = 120.0
"""Duration of a lease in seconds."""


COLUMNS = "id, at, who, desk, image, class, what, undoes, probability, sheet"
SHEET_COLUMNS = "id, at, who, desk, image, outcome, undoes"


class DecisionLog:
    """The file of events and leases, which any number of threads and processes may have open.

    Args:
        path: SQLite file; created if it does not exist.
        lease: Duration of a lease in seconds.
        clock: Function that returns the time in seconds since 1970.
        name: Path that messages name; `path` by default.

    Raises:
        ValueError: The file is not a log of decisions, or cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        lease: float = LEASE,
        clock: Callable[[], float] = time.time,
        name: Path | None = None,
    ) -> None:
        self.path, self.lease, self.clock = name or path, lease, clock
        refuse_link(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        with errors_told(self.path):
            self._base = open_database(path)

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction: all of it is written or nothing, and no other connection writes meanwhile."""
        with self._lock, errors_told(self.path):
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk may have ended the transaction already
                    self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    def since(self, last: int = 0) -> list[Event]:
        """Return the events after an id, in order."""
        with self._lock, errors_told(self.path):
            rows = self._base.execute(f"SELECT {COLUMNS} FROM events WHERE id > ? ORDER BY id", (last,))
            return [_event(self.path, row) for row in rows]

    def tally(self) -> Tally:
        """Compute the state that follows from all events."""
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
        """Lease a question to a desk, and release the one it had.

        Args:
            desk: Browser session that gets the lease.
            choose: Function from the labels leased to others and the label leased to this desk to the label to lease.
                No other desk gets a lease or answers while it runs.
            seconds: Duration of the lease in seconds; that of the log if None.
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
        """Record an answer.

        Args:
            ask: Id of the question; an answer that is sent twice counts once.
            desk: Browser session.
            who: Name of the person.
            cell: Label that the question was about.
            what: Answer.
            probability: Probability that the page showed; None where predictions were hidden.

        Returns:
            Whether the answer is new.
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
        """Return the sheets that are not undone, in order."""
        with self._lock, errors_told(self.path):
            rows = self._base.execute(
                f"SELECT {SHEET_COLUMNS} FROM sheets WHERE outcome != 'undo' "
                "AND id NOT IN (SELECT undoes FROM sheets WHERE undoes IS NOT NULL) ORDER BY id"
            )
            return [Sheet(*row) for row in rows]

    def add_sheet(
        self,
        ask: str,
        desk: str,
        who: str,
        image: str,
        outcome: Outcome,
        answers: Mapping[str, Answer] = NO_ANSWERS,
    ) -> bool:
        """Record an image as a whole: all its answers or none.

        Args:
            ask: Id of the image as it was shown; a sheet that is sent twice counts once.
            desk: Browser session.
            who: Name of the person.
            image: Image name in the table.
            outcome: `complete` with answers, `known` or `skip` without.
            answers: One answer per class.

        Returns:
            Whether the sheet is new.
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
        """Return the last sheet of a desk that is not undone."""
        mine = [sheet for sheet in self.sheets() if sheet.desk == desk and sheet.outcome != "known"]
        return mine[-1] if mine else None

    def undo_sheet(self, desk: str, who: str) -> Sheet | None:
        """Undo a desk's last sheet, with all its answers.

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
        """Return the last answer of a desk that is not undone: the one that `undo` would undo."""
        with self._lock, errors_told(self.path):
            row = self._base.execute(
                f"SELECT {COLUMNS} FROM events WHERE desk = ? AND what != 'undo' "
                "AND id NOT IN (SELECT undoes FROM events WHERE undoes IS NOT NULL) ORDER BY id DESC LIMIT 1",
                (desk,),
            ).fetchone()
            return None if row is None else Event(*row)

    def undo(self, desk: str, who: str) -> Event | None:
        """Undo a desk's last answer; if it belongs to a sheet, the whole sheet.

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


def _event(path: Path, row: tuple[Any, ...]) -> Event:
    """Convert a row of the file, which may come from an untrusted source, to an event.

    Raises:
        ValueError: The row is not a valid event.
    """
    event = Event(*row)
    texts = (event.at, event.who, event.desk, event.image, event.cls)
    whats = ("present", "absent", "skip", "undo")
    if not all(isinstance(text, str) for text in texts) or event.what not in whats:
        raise ValueError(f"{path}: event {event.id!r} is not a valid decision; the file is damaged: {FIX}")
    return event


def new_name() -> str:
    """Generate an unguessable unique id for a desk or a question."""
    return secrets.token_urlsafe(12)
