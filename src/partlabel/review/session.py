"""State of a review: the table, predictions for its unknown labels, the decisions so far, and the next question.

The log of decisions is the only source of truth; a session follows it, including what other processes write there.
Every decision adds a known label to its image; with a completion model (`posthoc/label_completion.py`), that is
evidence for the image's other labels and changes their probabilities. What follows from an answer by rules between
classes is settled with it, and asked no more; undoing the answer opens it again.
"""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int8
from scipy.special import expit

from partlabel.core.labels import UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.posthoc.label_completion import Completion
from partlabel.review import ordering
from partlabel.review.decisions import DecisionLog, new_name
from partlabel.review.events import Answer, Cell, Event, Tally
from partlabel.review.explanations import Habits, ImageNeighbours
from partlabel.review.order_keys import OrderKeys
from partlabel.review.ordering import Blank, Key
from partlabel.review.orders import Knowledge
from partlabel.review.photo_texts import PhotoTexts
from partlabel.review.predictions_cache import Looked
from partlabel.review.questions import Question, ReviewProgress, Wish
from partlabel.review.refitting import Refit
from partlabel.review.rules_of_review import RulesOfReview

if TYPE_CHECKING:
    from partlabel.reporting.examples import Example

SEED = 0
_Scores = Float[np.ndarray, "image class"]
_Labels = Int8[np.ndarray, "image class"]


class Session:
    """A review, for any number of desks (browser sessions) at once.

    Args:
        table: Label table whose unknown labels are reviewed; its images must be under its root.
        looked: Predictions and embeddings of its images.
        decisions: Log of decisions.
        completion: Model of the evidence of known labels; None if there is none.
        part: Part of the split to review; all images if None.
        gaze: Function that computes attention and pair probabilities of an image, if the method has them.
        beside: Texts of the photos and their evidence; None without texts.
        rules: Rules between classes, and the layer of probabilities that obey them; None without rules.

    Attributes:
        count_decided: Function that is called with the number of new decisions, with the lock held (`retraining.py`).
        retrained: What the last fit beside the review gained, for the page.

    Raises:
        ValueError: The table has no such part.
    """

    def __init__(
        self,
        table: LabelTable,
        looked: Looked,
        decisions: DecisionLog,
        completion: Completion | None = None,
        part: str | None = None,
        gaze: Callable[[int], "Example"] | None = None,
        beside: PhotoTexts | None = None,
        rules: RulesOfReview | None = None,
    ) -> None:
        self.table, self.looked, self.decisions, self.completion = table, looked, decisions, completion
        self.gaze, self.beside, self.rules = gaze, beside, rules
        self.similar = ImageNeighbours(looked.features)
        self.logits = looked.logits if beside is None else beside.logits
        self._rows = {image: number for number, image in enumerate(table.images)}
        self._columns = {name: number for number, name in enumerate(table.classes)}
        inside = set(table.images if part is None else table.part(part).images)
        selected = np.fromiter((image in inside for image in table.images), bool, len(table))
        readable = np.isfinite(looked.logits).all(axis=1)
        self.unreadable = int((~readable & selected).sum())
        self.blank: Blank = (table.labels == UNKNOWN) & (selected & readable)[:, None]
        self.answered = table.labels.copy()
        self.labels = table.labels.copy() if rules is None else rules.conclude(table.labels)
        self.tally = Tally()
        self.probability = self._probability(self.logits, self.labels, completion)
        self.habits = Habits(table.labels, table.classes)
        self.orders = OrderKeys(self._know)
        self.count_decided: Callable[[int], None] = lambda decided: None
        self.retrained = ""
        self._seen = 0
        self.lock = threading.RLock()
        self.follow()

    def follow(self) -> None:
        """Apply new events of the log, from this or another process."""
        with self.lock:
            changed, decided = set(), 0
            for event in self.decisions.since(self._seen):
                self._seen = event.id
                self.tally.add(event)
                place = self.place(event.cell)
                if place is not None and self.table.labels[place] == UNKNOWN:
                    before, self.answered[place] = self.answered[place], self.tally.label(event.cell)
                    decided += bool(self.answered[place] != before)
                    changed.add(place[0])
                    self.orders.count_change()
            if changed:
                rows = np.array(sorted(changed))
                known = self.answered[rows]
                self.labels[rows] = known if self.rules is None else self.rules.conclude(known)
                self._update(rows)
            self.count_decided(decided)

    def adopt(self, fitted: Refit) -> None:
        """Replace the model by one fitted again; probabilities and orders are computed before the lock is taken."""
        beside = None if self.beside is None else self.beside.again(fitted.logits, fitted.texts)
        logits, completion = fitted.logits if beside is None else beside.logits, fitted.completion
        with self.lock:
            labels, orders = self.labels.copy(), self.orders
        probability = self._probability(logits, labels, completion)
        orders = orders.again(lambda unanswered: self._know(unanswered, probability, labels))
        with self.lock:
            self.beside, self.logits, self.completion = beside, logits, completion
            self.probability, self.orders = probability, orders
            rows = np.flatnonzero((self.labels != labels).any(axis=1))
            if len(rows):
                self._update(rows)

    def next(self, desk: str, who: str, wish: Wish, skip_current: bool = False) -> Question | None:
        """Return the current question of a desk: the one it has, if it matches the filter, or the first one that does.

        Args:
            desk: Browser session that leases the question.
            who: Name of the person.
            wish: Filter and order.
            skip_current: Return the first question that matches, even if the desk has one.

        Returns:
            The question; None if nothing is left.
        """

        def choose(others: frozenset[Cell], own: Cell | None) -> Cell | None:
            self.follow()
            askable = self.askable(who, wish, others)
            place = None if own is None or skip_current else self.place(own)
            if place is not None and askable[place]:
                return own
            first = ordering.first(self.key(wish.order), askable)
            return None if first is None else self.cell(*first)

        with self.lock:
            cell = self.decisions.claim(desk, choose, drawn=lambda cell: self.is_drawn(cell, wish))
            return None if cell is None else self._question(cell)

    def answer(
        self, desk: str, who: str, ask: str, row: int, column: int, what: Answer, hidden: bool = False
    ) -> bool:
        """Record an answer.

        Args:
            desk: Browser session.
            who: Name of the person.
            ask: Id of the question.
            row: Row of the image.
            column: Column of the class.
            what: Answer.
            hidden: Whether the page hid the model's prediction.

        Returns:
            Whether the answer is new.

        Raises:
            KeyError: There is no such unknown label.
        """
        with self.lock:
            self.follow()
            self.require_unknown([(row, column)])
            shown = self.shown(row, column, hidden)
            new = self.decisions.answer(ask, desk, who, self.cell(row, column), what, shown)
            self.follow()
            return new

    def undo(self, desk: str, who: str) -> Question | None:
        """Undo a desk's last answer, and ask its question again.

        Returns:
            The question; None if there was nothing to undo, or someone else has the question by now.
        """
        with self.lock:
            event = self.decisions.undo(desk, who)
            if event is None or (place := self.place(event.cell)) is None or not self.blank[place]:
                return None
            self.follow()
            cell = self.decisions.claim(
                desk, lambda others, own: None if event.cell in others else event.cell,
                drawn=lambda cell: bool(event.drawn),
            )  # fmt: skip
            return None if cell is None else self._question(cell)

    def last(self, desk: str) -> Event | None:
        """Return the answer that `undo` would undo."""
        return self.decisions.last(desk)

    def progress(self, who: str, wish: Wish) -> ReviewProgress:
        """Compute the progress."""
        with self.lock:
            self.follow()
            decided = int((self.blank & (self.labels != UNKNOWN)).sum())
            left = int(self.askable(who, wish).sum())
            return ReviewProgress(int(self.blank.sum()), decided, left, self.tally.counts(), self.retrained)

    def require_unknown(self, places: Sequence[tuple[int, int]]) -> None:
        """Check that labels, as row and column, were unknown at the start.

        Raises:
            KeyError: There is no such label, or the table knows it.
        """
        for row, column in places:
            if not (0 <= row < len(self.table) and 0 <= column < len(self.table.classes)):
                raise KeyError(f"there is no label in row {row}, column {column}")
            if not self.blank[row, column]:
                raise KeyError(
                    f"{self.table.classes[column]!r} of {self.table.images[row]!r} is not an unknown label"
                )

    def shown(self, row: int, column: int, hidden: bool) -> float | None:
        """Return the probability as a page shows it; None if it hides predictions."""
        return None if hidden else round(float(self.probability[row, column]), 6)

    def askable(self, who: str, wish: Wish, others: frozenset[Cell] = frozenset()) -> Blank:
        """Select the labels to ask a person about: unknown, unanswered, matching the filter and not skipped by them.

        Args:
            who: Name of the person.
            wish: Filter.
            others: Labels that are leased to other desks.
        """
        askable = self.blank & (self.labels == UNKNOWN)
        if not wish.every_probability:
            askable &= ordering.between(self.probability, wish.low, wish.high)
        if wish.cls:
            askable &= np.array([name == wish.cls for name in self.table.classes])
        if not wish.skipped:
            for cell in self.tally.skipped(who):
                if (place := self.place(cell)) is not None:
                    askable[place] = False
        for cell in others:
            if (place := self.place(cell)) is not None:
                askable[place] = False
        return askable

    def key(self, order: str) -> Key:
        """Return the keys of an order for all labels."""
        return self.orders.of(order)

    def is_drawn(self, cell: Cell, wish: Wish) -> bool:
        """Return whether an order asks about a label because it was drawn at random, from all labels of its class."""
        place = self.place(cell)
        return wish.every_probability and place is not None and bool(self.orders.drawn(wish.order)[place])

    def _know(
        self, unanswered: bool, probability: _Scores | None = None, labels: _Labels | None = None
    ) -> Knowledge:
        """Return what orders are computed from; only labels without an answer may be asked if `unanswered`."""
        labels = self.labels if labels is None else labels
        found = np.nan_to_num(self.probability if probability is None else probability, nan=0.0)
        blank = self.blank & (labels == UNKNOWN) if unanswered else self.blank
        return Knowledge(found, blank, labels, self.looked.features, SEED)

    def _probability(self, logits: _Scores, labels: _Labels, completion: Completion | None) -> _Scores:
        """Compute probabilities from logits that have the evidence of texts, with that of known labels."""
        found = expit(logits if completion is None else completion.logits(logits, labels))
        return found if self.rules is None else self.rules.probability(found, labels)

    def _update(self, rows: np.ndarray) -> None:
        """Update probabilities, and the order of questions, of images with new known labels."""
        self.orders.reopen(rows, self.blank[rows] & (self.labels[rows] == UNKNOWN))
        if self.completion is None and self.rules is None:
            return
        self.probability[rows] = self._probability(self.logits[rows], self.labels[rows], self.completion)
        self.orders.update(rows)

    def place(self, cell: Cell) -> tuple[int, int] | None:
        """Return row and column of a label; None if it is not in the table."""
        row, column = self.row(cell.image), self._columns.get(cell.cls)
        return None if row is None or column is None else (row, column)

    def row(self, image: str) -> int | None:
        """Return the row of an image; None if it is not in the table."""
        return self._rows.get(image)

    def cell(self, row: int, column: int) -> Cell:
        """Return a label by its names."""
        return Cell(self.table.images[row], self.table.classes[column])

    def _question(self, cell: Cell) -> Question:
        row, column = self._rows[cell.image], self._columns[cell.cls]
        return Question(new_name(), row, column, *cell, float(self.probability[row, column]))
