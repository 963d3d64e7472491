"""A review as it goes on: the table, what the model says of its blanks, what was decided, and what is asked next.

The file of decisions is what counts; a session only follows it, also what other processes write there. With each
decision the known labels of its image are more, and where they vote (`completion.py`) the others are more probable or
less.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Bool

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.data.tables.label_table import LabelTable
from partlabel.posthoc.label_completion import Completion
from partlabel.review import explanations, ordering
from partlabel.review.decisions import DecisionLog, new_name
from partlabel.review.events import Answer, Cell, Event, Tally
from partlabel.review.explanations import Company, Habits, SimilarImages, Vote
from partlabel.review.ordering import Key, Order
from partlabel.review.predictions_cache import Looked

if TYPE_CHECKING:
    from partlabel.reporting.run_report import Example

MOST_PAIRS = 3
SEED = 0


class Wish(NamedTuple):
    """What somebody wants to be asked.

    Attributes:
        order: What comes first.
        cls: The one class; empty for all.
        low: Least probability.
        high: Highest probability.
        skipped: Ask again about what this person could not tell.
    """

    order: Order = "class"
    cls: str = ""
    low: float = 0.0
    high: float = 1.0
    skipped: bool = False


ANYTHING = Wish()


class Question(NamedTuple):
    """Something to decide.

    Attributes:
        ask: Its name, as it was put this time.
        row: The image.
        column: The class.
        image: As the table names it.
        cls: The class's name.
        probability: That the class is there.
    """

    ask: str
    row: int
    column: int
    image: str
    cls: str
    probability: float


class Why(NamedTuple):
    """Reasons for and against.

    Attributes:
        often: Classes in the image that this one comes with more often than usual.
        seldom: Those that it comes with less often.
        pairs: Classes in the image, and how probably this one comes with them here, by the method's own pair head.
        votes: How known labels moved the probability.
        alone: The probability without them.
        alike: Similar images of which the label is known.
    """

    often: list[Company]
    seldom: list[Company]
    pairs: list[tuple[str, float]]
    votes: list[Vote]
    alone: float
    alike: SimilarImages


class ReviewProgress(NamedTuple):
    """How far a review is.

    Attributes:
        blanks: There were at first.
        decided: Of them.
        left: Of those that were wished for.
        people: How many decisions of each stand.
    """

    blanks: int
    decided: int
    left: int
    people: dict[str, int]


class Session:
    """A review, for any number of desks at once.

    Args:
        table: Its blanks are asked about; their images have to be where its root is.
        looked: What the model says of its images.
        decisions: What was decided so far.
        completion: How known labels vote.
        part: Ask about this part of the split alone.
        gaze: Attention and pairs in an image, where the method has them.

    Raises:
        ValueError: There is no such part.
    """

    def __init__(
        self,
        table: LabelTable,
        looked: Looked,
        decisions: DecisionLog,
        completion: Completion | None = None,
        part: str | None = None,
        gaze: Callable[[int], "Example"] | None = None,
    ) -> None:
        self.table, self.looked, self.decisions, self.completion = table, looked, decisions, completion
        self.gaze = gaze
        self._rows = {image: number for number, image in enumerate(table.images)}
        self._columns = {name: number for number, name in enumerate(table.classes)}
        asked = np.ones(len(table), bool)
        if part is not None:
            inside = set(table.part(part).images)
            asked = np.fromiter((image in inside for image in table.images), bool, len(table))
        readable = np.isfinite(looked.logits).all(axis=1)
        self.unreadable = int((~readable & asked).sum())
        self.blank: Bool[np.ndarray, "image class"] = (table.labels == UNKNOWN) & (asked & readable)[:, None]
        self.labels = table.labels.copy()
        self.tally = Tally()
        self.probability = self._said(np.arange(len(table)))
        self.habits = Habits(table.labels, table.classes)
        self._keys: dict[Order, Key] = {}
        self._seen = 0
        self._lock = threading.RLock()
        self.follow()

    def follow(self) -> None:
        """Take up what was decided meanwhile, here or by another process."""
        with self._lock:
            changed = set()
            for event in self.decisions.since(self._seen):
                self._seen = event.id
                self.tally.add(event)
                place = self._place(event.cell)
                if place is not None and self.table.labels[place] == UNKNOWN:
                    self.labels[place] = self.tally.label(event.cell)
                    changed.add(place[0])
            if changed:
                self._say_again(np.array(sorted(changed)))

    def next(self, desk: str, who: str, wish: Wish, anew: bool = False) -> Question | None:
        """The question that a desk is to answer now: the one it has, if it fits the wish, or the first that does.

        Args:
            desk: It is leased to.
            who: The person there.
            wish: What they want to be asked.
            anew: The first that fits, whatever the desk has.

        Returns:
            None where there is nothing left.
        """

        def choose(others: frozenset[Cell], own: Cell | None) -> Cell | None:
            self.follow()
            askable = self._askable(who, wish)
            for cell in others:
                if (place := self._place(cell)) is not None:
                    askable[place] = False
            if not anew and own is not None and (place := self._place(own)) is not None and askable[place]:
                return own
            first = ordering.first(self._key(wish.order), askable)
            return None if first is None else self._cell(*first)

        with self._lock:
            cell = self.decisions.claim(desk, choose)
            return None if cell is None else self._question(cell)

    def answer(
        self, desk: str, who: str, ask: str, row: int, column: int, what: Answer, hidden: bool = False
    ) -> bool:
        """Write an answer down.

        Args:
            desk: Where it was given.
            who: The person there.
            ask: Of the question as it was put.
            row: The image.
            column: The class.
            what: The answer.
            hidden: Whether the page kept the model's opinion to itself.

        Returns:
            Whether it is new.

        Raises:
            KeyError: There is no such blank.
        """
        with self._lock:
            self.follow()
            if not (0 <= row < len(self.table) and 0 <= column < len(self.table.classes)):
                raise KeyError(f"there is no label in row {row}, column {column}")
            if not self.blank[row, column]:
                raise KeyError(f"{self.table.classes[column]!r} of {self.table.images[row]!r} is no blank")
            said = None if hidden else round(float(self.probability[row, column]), 6)
            new = self.decisions.answer(ask, desk, who, self._cell(row, column), what, said)
            self.follow()
            return new

    def undo(self, desk: str, who: str) -> Question | None:
        """Take a desk's last answer back, and put its question again.

        Returns:
            None where there was nothing to take back, or the question is another's by now.
        """
        with self._lock:
            event = self.decisions.undo(desk, who)
            if event is None or (place := self._place(event.cell)) is None or not self.blank[place]:
                return None
            self.follow()
            cell = self.decisions.claim(
                desk, lambda others, own: None if event.cell in others else event.cell
            )
            return None if cell is None else self._question(cell)

    def last(self, desk: str) -> Event | None:
        """What a desk can take back."""
        return self.decisions.last(desk)

    def why(self, row: int, column: int) -> Why:
        """Reasons for and against a label."""
        labels, logits = self.labels[row], self.looked.logits[row]
        often, seldom = self.habits.company(labels, column)
        voted: list[Vote] = []
        if self.completion is not None:
            voted = explanations.votes(self.completion.votes, logits, labels, column, self.table.classes)
        pairs: list[tuple[str, float]] = []
        together = None
        with suppress(OSError):  # the image vanished meanwhile; the page says so in its place
            together = None if self.gaze is None else self.gaze(row).cooccurrence
        if together is not None:
            there = [other for other in np.flatnonzero(labels == PRESENT).tolist() if other != column]
            there.sort(key=lambda other: -float(together[column, other]))
            pairs = [
                (self.table.classes[other], float(together[column, other])) for other in there[:MOST_PAIRS]
            ]
        alone = float(1 / (1 + np.exp(-float(logits[column]))))
        near = explanations.similar_images(
            self.looked.features, row, np.ascontiguousarray(self.labels[:, column])
        )
        return Why(often, seldom, pairs, voted, alone, near)

    def progress(self, who: str, wish: Wish) -> ReviewProgress:
        """How far it is."""
        with self._lock:
            self.follow()
            decided = int((self.blank & (self.labels != UNKNOWN)).sum())
            left = int(self._askable(who, wish).sum())
            return ReviewProgress(int(self.blank.sum()), decided, left, self.tally.counts())

    def _askable(self, who: str, wish: Wish) -> Bool[np.ndarray, "image class"]:
        """What a person may be asked: blanks without an answer, that they wish for and have not skipped."""
        askable = self.blank & (self.labels == UNKNOWN)
        if (wish.low, wish.high) != (0.0, 1.0):
            askable &= ordering.between(self.probability, wish.low, wish.high)
        if wish.cls:
            askable &= np.array([name == wish.cls for name in self.table.classes])
        if not wish.skipped:
            for cell in self.tally.skipped(who):
                if (place := self._place(cell)) is not None:
                    askable[place] = False
        return askable

    def _key(self, order: Order) -> Key:
        if order not in self._keys:
            self._keys[order] = ordering.key(order, self._finite(), self.blank, SEED)
        return self._keys[order]

    def _finite(self) -> ordering.Probability:
        return np.nan_to_num(self.probability, nan=0.0)

    def _said(self, rows: np.ndarray) -> ordering.Probability:
        """Probabilities of some images, their known labels having voted."""
        logits = self.looked.logits[rows]
        if self.completion is not None:
            logits = self.completion.logits(logits, self.labels[rows])
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(-logits))

    def _say_again(self, rows: np.ndarray) -> None:
        """Where known labels vote, new ones change what is said of the others, and when they are asked about."""
        if self.completion is None:
            return
        self.probability[rows] = self._said(rows)
        for order in ordering.OF_ITSELF:
            if order in self._keys:
                self._keys[order][rows] = ordering.key(order, self._finite()[rows], self.blank[rows])

    def _place(self, cell: Cell) -> tuple[int, int] | None:
        if cell.image not in self._rows or cell.cls not in self._columns:
            return None
        return self._rows[cell.image], self._columns[cell.cls]

    def _cell(self, row: int, column: int) -> Cell:
        return Cell(self.table.images[row], self.table.classes[column])

    def _question(self, cell: Cell) -> Question:
        row, column = self._rows[cell.image], self._columns[cell.cls]
        return Question(new_name(), row, column, *cell, float(self.probability[row, column]))
