"""Where the model is most certain of presence first, so that most answers are yes."""

from partlabel.review.ordering import Key
from partlabel.review.orders._base import Knowledge, Order


class Surest(Order):
    """The most probable labels of all classes first."""

    title = "Highest score"
    of_itself = True

    def key(self, given: Knowledge) -> Key:
        """Compute the probability of absence."""
        return 1.0 - given.probability
