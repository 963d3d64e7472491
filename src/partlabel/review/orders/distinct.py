"""Turns of the classes without near-duplicates: photos that resemble one with a known label of the class come last."""

import numpy as np
from jaxtyping import Bool, Float, Int64

from partlabel.core.labels import UNKNOWN
from partlabel.review.ordering import TURN, Key, ranks, turns_of_ranks
from partlabel.review.orders._base import Knowledge, Order

COMPARED = 2000
"""Number of labels of a class, from the first, that are compared; later ones keep their places."""


class Distinct(Order):
    """Turns of the classes, the most probable labels of each first, near-duplicates of earlier ones last.

    Args:
        similarity: Cosine from which two photos are near-duplicates.
        turn: Number of labels of a class per turn.
    """

    title = "Class by class, no duplicates"
    follows = True

    def __init__(self, similarity: float = 0.8, turn: int = TURN) -> None:
        self.similarity, self.turn = similarity, turn

    def key(self, given: Knowledge) -> Key:
        """Compute turn and place in it; near-duplicates rank after all other labels of their class."""
        rank = ranks(-given.probability, given.blank)
        if given.features is not None:
            for column in range(rank.shape[1]):
                rank[self._repeated(given, given.features, rank[:, column], column), column] += len(rank)
            rank = ranks(rank.astype(float), given.blank)
        return turns_of_ranks(rank, self.turn)

    def _repeated(
        self,
        given: Knowledge,
        features: Float[np.ndarray, "image feature"],
        rank: Int64[np.ndarray, " image"],
        column: int,
    ) -> Int64[np.ndarray, " repeated"]:
        """Select the images that resemble one whose label is known, or one of a lower rank that is not repeated."""
        asked = np.flatnonzero(given.blank[:, column])
        asked = asked[np.argsort(rank[asked], kind="stable")][:COMPARED]
        known = np.flatnonzero(given.labels[:, column] != UNKNOWN)[:COMPARED]
        own = features[asked].astype(np.float32)
        near = own @ features[known].astype(np.float32).T >= self.similarity
        repeated: Bool[np.ndarray, " asked"] = np.asarray(near.any(axis=1))
        alike: Bool[np.ndarray, "asked asked"] = own @ own.T >= self.similarity
        for place in range(len(asked)):
            if not repeated[place]:
                repeated[place + 1 :] |= alike[place, place + 1 :]
        return asked[repeated]
