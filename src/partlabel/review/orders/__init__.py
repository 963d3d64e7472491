"""Orders of the questions of a review: one file is one order, and `--order <its name>` exists.

An order is a *key* for every unknown label, computed from what is known and predicted; the smallest is asked first.
The first cells of an order are what a budget of that many cells is spent on.
"""

from partlabel.core import registry
from partlabel.review.orders._base import Knowledge, Order

__all__ = ["DEFAULT", "Knowledge", "Order", "get", "made", "names"]

DEFAULT = "class"


def names() -> list[str]:
    """List the names of all orders."""
    return registry.names(__name__)


def get(name: str) -> type[Order]:
    """Find the order of that name, or of that dotted path.

    Raises:
        ValueError: There is none; the message names the nearest.
    """
    return registry.find(__name__, name)


def made(name: str) -> Order:
    """Create the order of that name, with its default arguments."""
    return get(name)()
