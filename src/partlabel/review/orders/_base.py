"""What an order of questions is given, and what it returns."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Float, Int8

from partlabel.review.ordering import Blank, Key, Probability


class Knowledge(NamedTuple):
    """What is known when an order is computed.

    Attributes:
        probability: Predicted probabilities that the class is present.
        blank: Labels that may be asked.
        labels: Labels that are known, by the table or by answers.
        features: Features of unit length, zeros where there is none; None where there are no features.
        seed: Random seed.
    """

    probability: Probability
    blank: Blank
    labels: Int8[np.ndarray, "image class"]
    features: Float[np.ndarray, "image feature"] | None = None
    seed: int = 0


class Plan(NamedTuple):
    """What an order asks.

    Attributes:
        key: Keys of all labels; the smallest is asked first.
        drawn: Labels that are asked because they were drawn at random, not for what is predicted.
    """

    key: Key
    drawn: Blank


class Order(ABC):
    """An order of questions.

    Attributes:
        title: Name on the page.
        of_itself: Whether the key of a label depends only on its own probability, so that it can be updated for one
            image alone.
        follows: Whether the order depends on which labels are known, so that it is computed again as they change.
    """

    title: ClassVar[str]
    of_itself: ClassVar[bool] = False
    follows: ClassVar[bool] = False

    @abstractmethod
    def key(self, given: Knowledge) -> Key:
        """Compute the key of every label; those of labels that may not be asked do not matter."""

    def drawn(self, given: Knowledge) -> Blank:
        """Select the labels that are asked because they were drawn at random, not for what is predicted.

        When such a label is asked, every label of its class that may be asked was as likely to be drawn. By default,
        an order draws none.
        """
        return np.zeros(given.blank.shape, bool)

    def plan(self, given: Knowledge) -> Plan:
        """Compute keys, and which labels are drawn, together."""
        return Plan(self.key(given), self.drawn(given))
