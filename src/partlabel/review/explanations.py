"""Why a label is suggested: what is known of its image, and images that resemble it.

Nothing here knows how the model came to its number; these are the facts that a person can weigh against it: the classes
known to be in the image and how often they come with the one asked about, by how much the known labels of the image
moved the number (`completion.py`), and the most similar images of which the label is known.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float16, Float64, Int8, Int64

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables import statistics

NOTABLE = 1.25
"""Times more or less often than usual, for company to be worth a word."""
FEWEST = 5
"""Images that such a share is taken from, at least; it is also how many usual ones are added before it is compared."""
MOVES = 0.1
"""Log-odds below which a vote is not worth a word."""
MOST = 3
"""Reasons of a kind, and similar images of a kind."""
NEIGHBOURS = 20
COMPARED = 20_000
"""Images that one is compared with, at most."""
BLOCK = 2048


class Company(NamedTuple):
    """A class known to be in the image, and how often the class asked about comes with it.

    Attributes:
        name: The class in the image.
        share: Of the images with it, where the asked class is known, that show that one too.
        usual: Share of all images.
        images: That `share` was taken from.
    """

    name: str
    share: float
    usual: float
    images: int


class Vote(NamedTuple):
    """What a known label of the image adds to the log-odds of the class asked about."""

    name: str
    present: bool
    odds: float


class SimilarImages(NamedTuple):
    """The most similar images of which the label is known.

    Attributes:
        present: Rows of those that show the class, the most similar first.
        absent: Rows of those that do not.
        showing: How many of the `of` most similar ones show it.
        of: How many of both kinds were counted.
    """

    present: list[int]
    absent: list[int]
    showing: int
    of: int


class Habits:
    """How often classes come together, by the known labels of a table.

    Args:
        labels: Of the table.
        names: Of the classes.
    """

    def __init__(self, labels: Int8[np.ndarray, "image class"], names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.together, self.asked = statistics.present_with(labels)
        present, absent, _ = statistics.counts(labels)
        self.usual: Float64[np.ndarray, " class"] = present / np.maximum(present + absent, 1)

    def company(self, labels: Int8[np.ndarray, " class"], column: int) -> tuple[list[Company], list[Company]]:
        """Classes in an image that the asked class comes with more often than usual, and those it comes with less.

        Args:
            labels: Of the image.
            column: The class asked about.
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
    """How the known labels of an image moved the number, the strongest first: `votes[c, j] (y_j - p_j)`.

    Args:
        weights: Of a `Completion`.
        logits: Of the recogniser alone.
        labels: Of the image.
        column: The class asked about.
        names: Of the classes.
    """
    surprise = np.where(labels == UNKNOWN, 0.0, (labels == PRESENT) - 1 / (1 + np.exp(-logits.astype(float))))
    odds = weights[column] * surprise
    strongest = np.argsort(-np.abs(odds), kind="stable")[:MOST].tolist()
    return [
        Vote(names[other], bool(labels[other] == PRESENT), float(odds[other]))
        for other in strongest
        if other != column and abs(odds[other]) >= MOVES
    ]


def similar_images(
    features: Float16[np.ndarray, "image feature"], row: int, labels: Int8[np.ndarray, " image"]
) -> SimilarImages:
    """The images most similar to one, of those in which a class is known.

    Args:
        features: Of unit length; zeros where there is none.
        row: The image.
        labels: Of all images, of that class.
    """
    known = np.flatnonzero(labels != UNKNOWN)
    known = known[known != row]
    if len(known) > COMPARED:
        known = np.sort(np.random.default_rng(0).permutation(known)[:COMPARED])
    nearest = known[np.argsort(-_cosine(features, row, known), kind="stable")]
    said = labels[nearest]
    counted = said[:NEIGHBOURS]
    return SimilarImages(
        nearest[said == PRESENT][:MOST].tolist(),
        nearest[said == ABSENT][:MOST].tolist(),
        int((counted == PRESENT).sum()),
        len(counted),
    )


def _cosine(
    features: Float16[np.ndarray, "image feature"], row: int, rows: Int64[np.ndarray, " other"]
) -> Float[np.ndarray, " other"]:
    """Of one image to others; a block at a time, for half precision is widened."""
    own = features[row].astype(np.float32)
    blocks = [features[rows[at : at + BLOCK]].astype(np.float32) @ own for at in range(0, len(rows), BLOCK)]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
