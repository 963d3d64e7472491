"""Labels that are answered together: leased to one desk, written all or none, and taken back as a whole."""

from collections.abc import Callable, Mapping, Sequence

from partlabel.core.labels import UNKNOWN
from partlabel.review.decisions import Decision
from partlabel.review.events import Answer, Cell, Event
from partlabel.review.ordering import Blank
from partlabel.review.questions import Wish
from partlabel.review.session import Session


class Together:
    """What pages of photos and of tags share.

    Args:
        session: Review session.
        lease: Minimum duration of a lease in seconds.
    """

    def __init__(self, session: Session, lease: float) -> None:
        self.session = session
        self.lease = max(session.decisions.lease, lease)

    def claim(
        self,
        desk: str,
        who: str,
        wish: Wish,
        skip_current: bool,
        choose: Callable[[frozenset[Cell], Blank], Sequence[Cell]],
        drawn: Callable[[Cell], bool] = lambda cell: False,
    ) -> Sequence[Cell]:
        """Lease labels to a desk: those it has, if the first of them matches the filter, or new ones.

        Args:
            desk: Browser session.
            who: Name of the person.
            wish: Filter and order.
            skip_current: Lease new labels in any case.
            choose: Function from the labels leased to others and those that may be asked to the labels to lease.
            drawn: Function that tells whether a label is asked because it was drawn at random.
        """
        session = self.session

        def chosen(others: frozenset[Cell], own: Sequence[Cell]) -> Sequence[Cell]:
            session.follow()
            askable = session.askable(who, wish, others)
            kept = [cell for cell in own if self._is_open(cell)]
            matches = any(askable[place] for cell in kept if (place := session.place(cell)) is not None)
            return kept if matches and not skip_current else choose(others, askable)

        with session.lock:
            return session.decisions.claim_all(desk, chosen, self.lease, drawn)

    def write(
        self,
        desk: str,
        who: str,
        ask: str,
        given: Mapping[tuple[int, int], Answer],
        hidden: bool = False,
        more: Sequence[Decision] = (),
    ) -> bool:
        """Record answers by row and column, all or none.

        Args:
            desk: Browser session.
            who: Name of the person.
            ask: Id of the page as it was shown; a page that is sent twice counts once.
            given: Answers.
            hidden: Whether the page hid the model's predictions.
            more: Answers about classes that the table does not have.

        Returns:
            Whether the page is new.

        Raises:
            KeyError: There is no such unknown label.
        """
        session = self.session
        with session.lock:
            session.follow()
            session.require_unknown([*given])
            decisions = [
                Decision(session.cell(*place), what, session.shown(*place, hidden))
                for place, what in given.items()
            ]
            new = session.decisions.answer_page(ask, desk, who, [*decisions, *more])
            session.follow()
            return new

    def take_back(self, desk: str, who: str) -> tuple[Sequence[Cell], dict[Cell, str]]:
        """Undo a desk's last answers, and lease their labels again.

        Returns:
            The labels, without those that others have by now; and the answers.
        """
        session = self.session
        with session.lock:
            last = session.decisions.undo(desk, who)
            session.follow()
            if last is None:
                return [], {}
            events = self.with_it(last)
            answers = {event.cell: event.what for event in events}
            drawn = {event.cell for event in events if event.drawn}
            again = [cell for cell in answers if self._is_open(cell)]
            cells = session.decisions.claim_all(
                desk,
                lambda others, own: [cell for cell in again if cell not in others],
                self.lease,
                drawn.__contains__,
            )
            return cells, answers

    def with_it(self, event: Event) -> list[Event]:
        """Return the answers that were confirmed with one, itself included."""
        return [event] if event.page is None else self.session.decisions.of_page(event.page)

    def _is_open(self, cell: Cell) -> bool:
        place = self.session.place(cell)
        if place is None or not self.session.blank[place]:
            return False
        return bool(self.session.labels[place] == UNKNOWN)
