"""Keys of the orders that a review uses, kept until what they depend on changes."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Int64

from partlabel.review import ordering, orders
from partlabel.review.ordering import Blank, Key
from partlabel.review.orders import Knowledge, Order

RENEWED = 100
"""Number of changed labels after which orders that depend on the known labels are computed again."""
FIRST = -1.0
"""Key of a label that comes before all others."""


class OrderKeys:
    """Keys by name of the order.

    Args:
        know: Function that returns what is known now; its argument says whether only labels without an answer may be
            asked, rather than all that were unknown at the start.
    """

    def __init__(self, know: Callable[[bool], Knowledge]) -> None:
        self.know = know
        self._orders: dict[str, Order] = {}
        self._keys: dict[str, Key] = {}
        self._drawn: dict[str, Blank] = {}
        self._changes = 0

    def of(self, name: str) -> Key:
        """Return the keys of an order; infinity for labels that may not be asked."""
        if name not in self._keys:
            order = self._orders[name] = orders.made(name)
            given = self.know(order.follows)
            key, self._drawn[name] = order.plan(given)
            self._keys[name] = ordering.masked(key, given.blank)
        return self._keys[name]

    def drawn(self, name: str) -> Blank:
        """Return which labels an order asks because they were drawn at random."""
        self.of(name)
        return self._drawn[name]

    def count_change(self) -> None:
        """Count a changed label, and renew the orders after `RENEWED` of them."""
        self._changes += 1
        if self._changes >= RENEWED:
            self.renew()

    def reopen(self, rows: Int64[np.ndarray, " row"], unknown: Bool[np.ndarray, "row class"]) -> None:
        """Put labels that may be asked, but were known when the keys were computed, before all others.

        Args:
            rows: Rows of the images.
            unknown: Labels of these images that may be asked.
        """
        for key in self._keys.values():
            key[rows] = np.where(unknown & ~np.isfinite(key[rows]), FIRST, key[rows])

    def renew(self, everything: bool = False) -> None:
        """Compute keys again when they are next used: of orders that depend on the known labels, or of all."""
        self._changes = 0
        self._keys = {
            name: key for name, key in self._keys.items() if not everything and not self._orders[name].follows
        }

    def again(self, know: Callable[[bool], Knowledge]) -> "OrderKeys":
        """Compute the keys of all orders in use from something else that is known; what `self` holds stays."""
        fresh = OrderKeys(know)
        for name in tuple(self._keys):
            fresh.of(name)
        fresh.know = self.know
        return fresh

    def update(self, rows: Int64[np.ndarray, " row"]) -> None:
        """Compute the keys of some images again, in orders whose keys depend on the label's own probability alone."""
        given = self.know(False)
        part = Knowledge(given.probability[rows], given.blank[rows], given.labels[rows], seed=given.seed)
        for name, key in self._keys.items():
            if self._orders[name].of_itself:
                key[rows] = ordering.masked(self._orders[name].key(part), part.blank)
