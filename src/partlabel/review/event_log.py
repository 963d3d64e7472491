"""The append-only list of events in one SQLite file, and the leases of questions.

SQLite's write-ahead log allows many readers beside one writer. A question is *leased* to one desk (a browser session):
no other desk gets it until the lease expires. Leases avoid duplicate work; an answer that arrives after its lease has
expired is still recorded.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from partlabel.review.decisions_file import FIX, errors_told, open_database, refuse_link
from partlabel.review.events import Cell, Event, Tally

LEASE = 120.0
"""Duration of a lease in seconds."""
KEPT = 86_400.0
"""Time in seconds for which an expired lease is kept: a late answer is about what its question was."""
COLUMNS = "id, at, who, desk, image, class, what, undoes, probability, sheet, page, added, drawn"


class EventLog:
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
        drawn: Callable[[Cell], bool] = lambda cell: False,
    ) -> Cell | None:
        """Lease a question to a desk, and release those it had.

        Args:
            desk: Browser session that gets the lease.
            choose: Function from the labels leased to others and the label leased to this desk to the label to lease.
                No other desk gets a lease or answers while it runs.
            seconds: Duration of the lease in seconds; that of the log if None.
            drawn: Function that tells whether a label is asked because it was drawn at random. A label that the desk
                keeps is as it was.
        """

        def choose_one(others: frozenset[Cell], own: Sequence[Cell]) -> Sequence[Cell]:
            cell = choose(others, own[0] if own else None)
            return [] if cell is None else [cell]

        claimed = self.claim_all(desk, choose_one, seconds, drawn)
        return claimed[0] if claimed else None

    def claim_all(
        self,
        desk: str,
        choose: Callable[[frozenset[Cell], Sequence[Cell]], Sequence[Cell]],
        seconds: float | None = None,
        drawn: Callable[[Cell], bool] = lambda cell: False,
    ) -> Sequence[Cell]:
        """Lease several questions to a desk, and release those it had; arguments as for `claim`."""
        with self._writing() as base:
            now = self.clock()
            until = now + (self.lease if seconds is None else seconds)
            base.execute("DELETE FROM leases WHERE until <= ?", (now - KEPT,))
            rows = base.execute(
                "SELECT image, class, desk, drawn FROM leases WHERE until > ? ORDER BY rowid", (now,)
            ).fetchall()
            others = frozenset(Cell(image, cls) for image, cls, owner, _ in rows if owner != desk)
            own = {Cell(image, cls): by_chance for image, cls, owner, by_chance in rows if owner == desk}
            cells = choose(others, [*own])
            base.execute("DELETE FROM leases WHERE desk = ?", (desk,))
            base.executemany(
                "INSERT OR REPLACE INTO leases (image, class, desk, until, drawn) VALUES (?, ?, ?, ?, ?)",
                [
                    (*cell, desk, until, own[cell] if cell in own else drawn(cell) or None)
                    for cell in cells
                    if cell not in others
                ],
            )
            return cells

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
    flags = (event.added, event.drawn)
    valid = all(isinstance(text, str) for text in texts) and all(flag in (None, 0, 1) for flag in flags)
    if not valid or event.what not in whats:
        raise ValueError(f"{path}: event {event.id!r} is not a valid decision; the file is damaged: {FIX}")
    return event
