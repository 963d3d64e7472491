"""Tags that people add to photos: classes that the table under review does not have.

An answer about such a class is an event like any other, marked as `added`. The class exists as long as an answer that
it is present or absent stands: undoing the only one takes the class back, and after a restart the log has it again. The
model was not trained on it, so that no order asks about it; the page offers it on the next photos.
"""

from collections.abc import Mapping

from partlabel.core.labels import PRESENT
from partlabel.data.new_names import checked_name
from partlabel.review.decisions import Decision
from partlabel.review.events import Answer, Cell
from partlabel.review.session import Session

MOST = 200
"""Maximum number of added classes of a review."""


class NewTags:
    """Added classes of a review; the caller holds the lock of the session.

    Args:
        session: Review session.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    def open(self, image: str, who: str, skipped: bool) -> tuple[str, ...]:
        """Return the added classes that have no answer on a photo.

        Args:
            image: Image name in the table.
            who: Name of the person.
            skipped: Whether to return classes that this person skipped.
        """
        tally = self.session.tally
        mine = frozenset[Cell]() if skipped else tally.skipped(who)
        return tuple(
            name
            for name in tally.new_classes()
            if Cell(image, name) not in tally.added[name] and Cell(image, name) not in mine
        )

    def present(self, image: str) -> tuple[str, ...]:
        """Return the added classes that a photo shows."""
        tally = self.session.tally
        return tuple(name for name in tally.new_classes() if tally.label(Cell(image, name)) == PRESENT)

    def named(self, given: str) -> str:
        """Return the added class that a person typed, or the name of a new one.

        Raises:
            RepeatedName: The name is another spelling of a class, or a class of the table.
            ValueError: It cannot be the name of a class.
        """
        there = self.session.tally.new_classes()
        return given if given in there else checked_name(given, self.classes())

    def classes(self) -> tuple[str, ...]:
        """Return the classes of the table and the added ones."""
        return (*self.session.table.classes, *self.session.tally.new_classes())

    def decisions(self, image: str, given: Mapping[str, Answer]) -> list[Decision]:
        """Check answers about added classes of a photo, and return them as decisions.

        Raises:
            ValueError: There are too many, a name is no name of a class, or a new class is not present in the photo.
        """
        there, found = self.session.tally.new_classes(), list[Decision]()
        for typed, what in given.items():
            name = self.named(typed)
            if name not in there:
                checked_name(name, [each.cell.cls for each in found])
                if what != "present":
                    raise ValueError(f"{name!r} is a new tag: answer yes, or leave it out")
            found.append(Decision(Cell(image, name), what, None, added=True))
        if found and len({*there, *(each.cell.cls for each in found)}) > MOST:
            raise ValueError(
                f"{MOST} tags were added already: train the model with them before more are added"
            )
        return found
