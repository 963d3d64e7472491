"""Probabilities corrected for how labels became known; kept in `tuning.json`.

Three sources, the best one there is: a calibration set (images drawn at random, labelled completely), a given
prevalence, or the estimate of the selection model. Each gives two affine maps of logits to log-odds: `scale` for a
random image, as `predict` meets it, and `scale_filling` for an unknown label of the table, as `fill` meets it: from
those the known labels are gone, which were not taken at random.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int8

from partlabel.core.labels import ABSENT, PRESENT
from partlabel.priors.scale import Scale

Source = Literal["calibration set", "prevalence", "estimate", "fair sample"]


class Asked(NamedTuple):
    """A calibration set as the model sees it.

    Attributes:
        scores: Logits.
        voted: Logits after the vote of those labels that the table knows; the same where nothing votes.
        truth: The labels, complete but for cells that people skipped.
        blank: Cells that are unknown in the table.
    """

    scores: Float[np.ndarray, "image class"]
    voted: Float[np.ndarray, "image class"]
    truth: Int8[np.ndarray, "image class"]
    blank: Bool[np.ndarray, "image class"]


@dataclass(frozen=True, eq=False)
class Correction:
    """How logits become log-odds that are right on average.

    Attributes:
        source: Where that is known from.
        images: Images of the calibration set, or else images that the estimate is made of.
        prevalence: Share of all images that show each class.
        unknown: Share of the unknown labels of each class that are present.
        rate_present: Share of the present labels that are known, over all classes.
        rate_absent: Share of the absent labels that are known, over all classes.
        scale: Of logits, for a random image.
        scale_filling: Of logits after the vote of known labels, for unknown labels.
        centre: Log-odds that the uncertain slope turns about.
        covariance: Of (slope, common shift): how uncertain the log-odds are.
        deviation: Standard deviation of each class's own shift.
    """

    source: Source
    images: int
    prevalence: Float[np.ndarray, " class"]
    unknown: Float[np.ndarray, " class"]
    rate_present: float
    rate_absent: float
    scale: Scale
    scale_filling: Scale
    centre: float
    covariance: Float[np.ndarray, "2 2"]
    deviation: Float[np.ndarray, " class"]

    @property
    def tags(self) -> float:
        """Present classes of a random image, on average."""
        return float(self.prevalence.sum())

    @property
    def sentence(self) -> str:
        """Where the probabilities come from, for people."""
        per_image = f"{self.tags:.3g} of {len(self.prevalence):,} classes present per image"
        number = f"{self.images:,} images"
        return {
            "calibration set": f"Probabilities are corrected by a calibration set of {number}: {per_image}.",
            "prevalence": f"Probabilities are corrected for the given prevalence: {per_image}.",
            "estimate": (
                f"Probabilities are corrected for how labels became known, as estimated from {number}: "
                f"{self.rate_present:.0%} of the present and {self.rate_absent:.0%} of the absent labels are known, "
                f"{per_image}. A calibration set makes this certain: partlabel review RUN --calibrate 40."
            ),
            "fair sample": (
                f"Probabilities assume that known labels are a fair sample, which nothing contradicts: {per_image}."
            ),
        }[self.source]

    def to_json(self) -> dict[str, Any]:
        """As JSON can say it."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("scale", "scale_filling"):
            values[name] = values[name].to_json()
        return {
            name: each.tolist() if isinstance(each, np.ndarray) else each for name, each in values.items()
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Correction":
        """What `to_json` gave.

        Raises:
            KeyError: Something is missing.
        """
        found = dict(values)
        for name in ("scale", "scale_filling"):
            found[name] = Scale.from_json(found[name])
        for name in ("prevalence", "unknown", "covariance", "deviation"):
            found[name] = np.array(found[name], np.float64)
        return cls(**found)


def overall_rates(
    prevalence: Float[np.ndarray, " class"], labels: Int8[np.ndarray, "image class"]
) -> tuple[float, float]:
    """Return the shares of all present and of all absent labels that are known, at this prevalence."""
    present, absent = prevalence.sum() * len(labels), (1 - prevalence).sum() * len(labels)
    known = ((labels == PRESENT).sum(), (labels == ABSENT).sum())
    return float(min(known[0] / max(present, 1e-9), 1)), float(min(known[1] / max(absent, 1e-9), 1))
