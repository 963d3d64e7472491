"""Nearest rows of many features: a few numbers of each row choose candidates, and the candidates are compared exactly.

Not a graph or an inverted file (docs/scale.md compares): building takes seconds, no package is needed, and any choice
of rows can be searched, such as those in which a class is known.
"""

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

NUMBERS = 64
"""Numbers of a row that choose candidates."""
CANDIDATES = 2000
"""Rows that are compared exactly."""
BLOCK = 2048
_SAMPLE = 8192


class SimilarRows:
    """Searches the rows of a table of unit vectors.

    The numbers of a row are its coordinates along the directions in which a sample of the rows has most of its length
    (principal components without centring): no other choice of as many numbers keeps more of the dot products.

    Args:
        features: Unit vectors; zeros for rows that resemble nothing.
        seed: Random seed of the sample.
    """

    def __init__(self, features: Float[np.ndarray, "row feature"], seed: int = 0) -> None:
        self.features = features
        rows = np.random.default_rng(seed).permutation(len(features))[:_SAMPLE]
        sample = features[np.sort(rows)].astype(np.float32)
        directions = np.linalg.eigh(sample.T @ sample)[1][:, ::-1][:, :NUMBERS]
        self.short: Float32[np.ndarray, "row number"] = np.empty(
            (len(features), directions.shape[1]), np.float32
        )
        for at in range(0, len(features), BLOCK):
            self.short[at : at + BLOCK] = features[at : at + BLOCK].astype(np.float32) @ directions

    def nearest(self, row: int, among: list[Bool[np.ndarray, " row"]]) -> Int64[np.ndarray, " near"]:
        """Return rows near one, the most similar first.

        Args:
            row: The row, which is not returned.
            among: Choices of rows; the candidates are divided among them, so that a small one is searched as well.
        """
        scores = self.short @ self.short[row]
        scores[row] = -np.inf
        chosen = []
        for rows in map(np.flatnonzero, among):
            most = CANDIDATES // len(among)
            if len(rows) > most:
                rows = rows[np.argpartition(-scores[rows], most)[:most]]
            chosen.append(rows[rows != row])
        found = np.sort(np.concatenate(chosen))
        return found[np.argsort(-cosine(self.features, row, found), kind="stable")]


def cosine(
    features: Float[np.ndarray, "row feature"], row: int, rows: Int64[np.ndarray, " other"]
) -> Float[np.ndarray, " other"]:
    """Compute the cosine of one row to others, block by block, because half precision is converted."""
    own = features[row].astype(np.float32)
    blocks = [features[rows[at : at + BLOCK]].astype(np.float32) @ own for at in range(0, len(rows), BLOCK)]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
