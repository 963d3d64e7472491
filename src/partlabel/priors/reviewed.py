"""Labels that a review asked about: which they are, and which of them it drew at random.

The order of a review chooses questions by the model's prediction, and some orders draw a share of them at random
(`review/orders/mixed.py`). A drawn label is a random one among those of its class that are unknown at that moment.
Drawn labels represent those that stay unknown as long as few of all labels are asked: among many, some would have been
asked later for what is predicted (docs/probabilities.md).
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int8

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.tables.provenance import Origins, is_asked, is_drawn

SOME = 0.05
"""Share of the known labels from which on those that a review asked about are no detail."""
ENOUGH_DRAWN = 20
"""Minimum number of drawn labels of each kind, present and absent, for a correction by drawn labels."""


class Reviewed(NamedTuple):
    """Labels that a review asked about.

    Attributes:
        asked: Whether each label is known because a review asked about it.
        drawn: Whether each label was drawn at random, and answered; `asked` is true for these, too.
        closed: Labels with those that follow from rules, which are not open to a question; None without rules.
    """

    asked: Bool[np.ndarray, "image class"]
    drawn: Bool[np.ndarray, "image class"]
    closed: Int8[np.ndarray, "image class"] | None = None

    @classmethod
    def of(
        cls,
        labels: Int8[np.ndarray, "image class"],
        origins: Origins | None,
        closed: Int8[np.ndarray, "image class"] | None = None,
    ) -> "Reviewed | None":
        """Find them by the sources of the known labels; None if a review asked about none of them.

        Args:
            labels: PRESENT, ABSENT or UNKNOWN.
            origins: Sources of the labels; None if they are not recorded.
            closed: Labels with those that follow from rules; None without rules.
        """
        if origins is None:
            return None
        known = labels != UNKNOWN
        asked, drawn = (
            known & np.array([test(name) for name in origins.names])[origins.codes]
            for test in (is_asked, is_drawn)
        )
        return cls(asked, drawn, closed) if asked.any() else None

    def matters(self, labels: Int8[np.ndarray, "image class"]) -> bool:
        """Return whether at least `SOME` of the known labels were asked about for what was predicted."""
        return bool((self.asked & ~self.drawn).sum() > SOME * (labels != UNKNOWN).sum())

    def are_enough(self, labels: Int8[np.ndarray, "image class"]) -> bool:
        """Return whether there are at least `ENOUGH_DRAWN` drawn labels of each kind."""
        found = labels[self.drawn]
        return bool(min((found == PRESENT).sum(), (found == ABSENT).sum()) >= ENOUGH_DRAWN)

    def sentence(self, labels: Int8[np.ndarray, "image class"], file: str) -> str:
        """Say how many labels were drawn, and their use.

        Args:
            labels: PRESENT, ABSENT or UNKNOWN.
            file: Table with these labels.
        """
        present, absent = ((labels[self.drawn] == code).sum() for code in (PRESENT, ABSENT))
        said = f"{present:,} present and {absent:,} absent labels were drawn at random"
        if self.are_enough(labels):
            return f"{said}: train on {file}, and tune corrects probabilities by them"
        return f"{said}; tune corrects probabilities by them from {ENOUGH_DRAWN} of each on"

    def weights(self, labels: Int8[np.ndarray, "image class"]) -> Float[np.ndarray, "image class"]:
        """Compute weights by which the known labels represent all labels of their class.

        A drawn label stands for itself and its share of the unknown ones, any other known label for itself alone:
        inverse inclusion probabilities (Horvitz and Thompson, Journal of the American Statistical Association 1952),
        divided by that of a drawn label. In a class with unknown labels and no drawn one, no label has a weight.

        Args:
            labels: PRESENT, ABSENT or UNKNOWN, those that follow from rules included.
        """
        drawn, unknown = self.drawn.sum(0), (labels == UNKNOWN).sum(0)
        of_others = np.where(unknown == 0, 1.0, drawn / np.maximum(drawn + unknown, 1))
        return np.where(self.drawn, 1.0, np.where(labels == UNKNOWN, 0.0, of_others))
