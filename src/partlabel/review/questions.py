"""What a review asks: the filter of a person, a question, its reasons, and the progress."""

from typing import NamedTuple

from partlabel.review import orders
from partlabel.review.explanations import Company, Neighbourhood, Vote
from partlabel.review.photo_texts import TextReason


class Wish(NamedTuple):
    """Filter and order of the questions that a person wants.

    Attributes:
        order: Name of the order of questions.
        cls: Class to ask about; empty for all.
        low: Lowest probability, in [0, 1].
        high: Highest probability, in [0, 1].
        skipped: Whether to ask again about labels that this person skipped.
    """

    order: str = orders.DEFAULT
    cls: str = ""
    low: float = 0.0
    high: float = 1.0
    skipped: bool = False

    @property
    def every_probability(self) -> bool:
        """Whether labels of all probabilities may be asked."""
        return (self.low, self.high) == (0.0, 1.0)


ANYTHING = Wish()


class Question(NamedTuple):
    """A label to decide.

    Attributes:
        ask: Id of this question.
        row: Row of the image.
        column: Column of the class.
        image: Image name in the table.
        cls: Name of the class.
        probability: Predicted probability that the class is present.
    """

    ask: str
    row: int
    column: int
    image: str
    cls: str
    probability: float


class Why(NamedTuple):
    """Reasons for and against a label.

    Attributes:
        often: Classes in the image with which this one occurs more often than usual.
        seldom: Classes in the image with which it occurs less often than usual.
        pairs: Classes in the image, and the probability that this one occurs with them, by the method's own pair head.
        votes: Evidence of known labels.
        alone: Predicted probability without that evidence, by the image and its texts.
        alike: Similar images whose label is known.
        beside: What the texts of the photo say; None without texts.
    """

    often: list[Company]
    seldom: list[Company]
    pairs: list[tuple[str, float]]
    votes: list[Vote]
    alone: float
    alike: Neighbourhood
    beside: TextReason | None = None


class ReviewProgress(NamedTuple):
    """Progress of a review.

    Attributes:
        blanks: Number of unknown labels at the start.
        decided: Number of them that are decided.
        left: Number of undecided ones that match the filter.
        people: Number of valid decisions by person.
        retrained: What the last fit of the model beside the review gained; empty without one.
    """

    blanks: int
    decided: int
    left: int
    people: dict[str, int]
    retrained: str = ""
