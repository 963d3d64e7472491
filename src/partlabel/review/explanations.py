"""Reasons for a suggested label: the image's known labels, and similar images.

Independent of how the model computes its probability; these are facts that a person can weigh against it: the classes
known to be in the image and how often they occur with the one in question, by how much the known labels of the image
changed the log-odds (`posthoc/label_completion.py`), and the most similar images with a known label.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float16, Float64, Int8
from scipy.special import expit

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.similar_rows import SimilarRows, cosine
from partlabel.data.tables import statistics

NOTABLE = 1.25
"""Minimum ratio of a co-occurrence to its expectation, in either direction, to be shown."""
FEWEST = 5
"""Minimum number of images behind such a ratio; also the number of pseudo-counts in its smoothing."""
MOVES = 0.1
"""Minimum change of log-odds, by a known label, a text or a word of it, to be shown."""
MOST = 3
"""Maximum number of reasons of a kind, and of similar images of a kind."""
NEIGHBOURS = 20
COMPARED = 20_000
"""Number of images up to which one is compared with all; among more, candidates are chosen (`core/similar_rows.py`)."""


class Company(NamedTuple):
    """A class known to be in the image, and how often the class in question occurs with it.

    Attributes:
        name: The class in the image.
        share: Share of the images with it, where the class in question is known, that show that one too.
        usual: Share of all images.
        images: Number of images behind `share`.
    """

    name: str
    share: float
    usual: float
    images: int


class Vote(NamedTuple):
    """Change of the log-odds of the class in question by a known label of the image."""

    name: str
    present: bool
    odds: float


class Neighbourhood(NamedTuple):
    """The most similar images with a known label.

    Attributes:
        present: Rows of those that show the class, the most similar first.
        absent: Rows of those that do not.
        showing: Number of the `of` most similar ones that show it.
        of: Number of images of both kinds that were counted.
    """

    present: list[int]
    absent: list[int]
    showing: int
    of: int


class Habits:
    """Co-occurrence of classes among the known labels of a table.

    Args:
        labels: Labels of the table.
        names: Class names.
    """

    def __init__(self, labels: Int8[np.ndarray, "image class"], names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.together, self.asked = statistics.present_with(labels)
        present, absent, _ = statistics.counts(labels)
        self.usual: Float64[np.ndarray, " class"] = present / np.maximum(present + absent, 1)

    def company(self, labels: Int8[np.ndarray, " class"], column: int) -> tuple[list[Company], list[Company]]:
        """List classes in an image that the class in question occurs with more often than expected, and less often.

        Args:
            labels: Labels of the image.
            column: The class in question.
        """
        usual = float(self.usual[column])
        often: list[tuple[float, Company]] = []
        seldom: list[tuple[float, Company]] = []
        for other in np.flatnonzero(labels == PRESENT).tolist():
            both, images = float(self.together[other, column]), float(self.asked[other, column])
            if other == column or images < FEWEST or usual == 0:
                continue
            times = (both + FEWEST * usual) / (images + FEWEST) / usual
            found = Company(self.names[other], both / images, usual, int(images))
            if times >= NOTABLE:
                often.append((-times, found))
            elif times <= 1 / NOTABLE:
                seldom.append((times, found))
        return ([found for _, found in sorted(often)[:MOST]], [found for _, found in sorted(seldom)[:MOST]])


def votes(
    weights: Float[np.ndarray, "class class"],
    logits: Float[np.ndarray, " class"],
    labels: Int8[np.ndarray, " class"],
    column: int,
    names: Sequence[str],
) -> list[Vote]:
    """List how the known labels of an image changed the log-odds, the strongest first: `votes[c, j] (y_j - p_j)`.

    Args:
        weights: Weights of a `Completion`.
        logits: Logits of the recogniser alone.
        labels: Labels of the image.
        column: The class in question.
        names: Class names.
    """
    surprise = np.where(labels == UNKNOWN, 0.0, (labels == PRESENT) - expit(logits.astype(float)))
    odds = weights[column] * surprise
    strongest = np.argsort(-np.abs(odds), kind="stable")[:MOST].tolist()
    return [
        Vote(names[other], bool(labels[other] == PRESENT), float(odds[other]))
        for other in strongest
        if other != column and abs(odds[other]) >= MOVES
    ]


class ImageNeighbours:
    """Searches the images most similar to one, among those in which a class is known.

    Args:
        features: Features of unit length; zeros where there is none.
    """

    def __init__(self, features: Float16[np.ndarray, "image feature"]) -> None:
        self.features = features

    @cached_property
    def _search(self) -> SimilarRows:
        return SimilarRows(self.features)

    def near(self, row: int, labels: Int8[np.ndarray, " image"]) -> Neighbourhood:
        """Find the most similar images: exactly among up to `COMPARED` images, nearly so among more.

        Args:
            row: Row of the image.
            labels: Labels of the class in all images.
        """
        known = np.flatnonzero(labels != UNKNOWN)
        known = known[known != row]
        if len(known) > COMPARED:
            nearest = self._search.nearest(row, [labels == PRESENT, labels == ABSENT])
        else:
            nearest = known[np.argsort(-cosine(self.features, row, known), kind="stable")]
        known_labels = labels[nearest]
        counted = known_labels[:NEIGHBOURS]
        return Neighbourhood(
            nearest[known_labels == PRESENT][:MOST].tolist(),
            nearest[known_labels == ABSENT][:MOST].tolist(),
            int((counted == PRESENT).sum()),
            len(counted),
        )
