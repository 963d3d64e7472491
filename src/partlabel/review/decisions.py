"""Log of decisions: an append-only list of events in one SQLite file, and the leases of questions.

Every answer is an event with person, time, image, class and answer; undoing one is an event too. The current labels
follow from all events (`events.Tally`), so no answer is ever lost. SQLite's write-ahead log allows many readers beside
one writer; an answer is on disk before the page confirms it, so that a killed server or a power failure loses nothing.

An image of a calibration set is answered as a whole: a *sheet* records that the image was drawn at random and that
every class was answered, with one event per class. Sheets are append-only, too, and are undone as a whole. Answers that
were confirmed together bear the id of their *page*; they are written all or none, and undone all together.
"""

import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from partlabel.review.decisions_file import errors_told
from partlabel.review.event_log import COLUMNS, LEASE, EventLog
from partlabel.review.events import Answer, Cell, Event, Outcome, Sheet

__all__ = ["LEASE", "Decision", "DecisionLog", "new_name"]

NO_ANSWERS: Mapping[str, Answer] = MappingProxyType({})
SHEET_COLUMNS = "id, at, who, desk, image, outcome, undoes"


class Decision(NamedTuple):
    """An answer about a label, one of several that are confirmed together.

    Attributes:
        cell: Label.
        what: Answer.
        probability: Probability that the page showed; None where predictions were hidden.
        added: Whether the class is one that a person added.
    """

    cell: Cell
    what: Answer
    probability: float | None = None
    added: bool = False


class DecisionLog(EventLog):
    """The file of events and leases, which any number of threads and processes may have open."""

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
            drawn = cell in _drawn(base, desk) or None
            written = base.execute(
                "INSERT INTO events (at, who, desk, image, class, what, ask, probability, drawn) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (ask) DO NOTHING",
                (self._now(), who, desk, *cell, what, ask, probability, drawn),
            )
            base.execute("DELETE FROM leases WHERE desk = ?", (desk,))
            return written.rowcount == 1

    def answer_page(self, page: str, desk: str, who: str, decisions: Sequence[Decision]) -> bool:
        """Record answers that were confirmed together: all or none.

        Args:
            page: Id of the page as it was shown; a page that is sent twice counts once.
            desk: Browser session.
            who: Name of the person.
            decisions: Answers.

        Returns:
            Whether the page is new.
        """
        with self._writing() as base:
            drawn = _drawn(base, desk)
            base.execute("DELETE FROM leases WHERE desk = ?", (desk,))
            if base.execute("SELECT 1 FROM events WHERE page = ? LIMIT 1", (page,)).fetchone():
                return False
            now = self._now()
            base.executemany(
                "INSERT INTO events (at, who, desk, image, class, what, probability, added, page, drawn) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (now, who, desk, *cell, what, shown, added or None, page, cell in drawn or None)
                    for cell, what, shown, added in decisions
                ],
            )
            return True

    def of_page(self, page: str) -> list[Event]:
        """Return the answers of a page, including one that is undone."""
        with self._lock, errors_told(self.path):
            rows = self._base.execute(
                f"SELECT {COLUMNS} FROM events WHERE page = ? AND what != 'undo' ORDER BY id", (page,)
            )
            return [Event(*row) for row in rows]

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
        """Undo a desk's last answer; if it belongs to a sheet or a page, all answers of that.

        Returns:
            The answer; None if there is none.
        """
        with self._writing() as base:
            last = self.last(desk)
            if last is not None and last.sheet is not None:
                self._take_back(base, last.sheet, desk, who)
            elif last is not None and last.page is not None:
                base.execute(
                    "INSERT INTO events (at, who, desk, image, class, what, undoes, page) "
                    "SELECT ?, ?, ?, image, class, 'undo', id, page FROM events WHERE page = ? AND what != 'undo'",
                    (self._now(), who, desk, last.page),
                )
            elif last is not None:
                base.execute(
                    "INSERT INTO events (at, who, desk, image, class, what, undoes) "
                    "VALUES (?, ?, ?, ?, ?, 'undo', ?)",
                    (self._now(), who, desk, *last.cell, last.id),
                )
            return last


def _drawn(base: sqlite3.Connection, desk: str) -> frozenset[Cell]:
    """Return the labels leased to a desk that were drawn at random."""
    found = base.execute("SELECT image, class FROM leases WHERE desk = ? AND drawn", (desk,))
    return frozenset(Cell(*row) for row in found)


def new_name() -> str:
    """Generate an unguessable unique id for a desk or a question."""
    return secrets.token_urlsafe(12)
