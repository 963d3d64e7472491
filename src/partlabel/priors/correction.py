"""Probabilities corrected for how labels became known; kept in `tuning.json`.

The best available of four sources is used: a calibration set (images drawn at random, labelled completely), a given
prevalence, labels that a review drew at random, or the estimate of the selection model. Each gives two affine maps of
logits to log-odds: `scale` for a random image, as in `predict`, and `scale_filling` for an unknown label of the table,
as in `fill`: the unknown labels are what remains after the known ones, which were not chosen at random.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int8

from partlabel.core.labels import ABSENT, PRESENT
from partlabel.priors.scale import Scale, sigmoid

Source = Literal["calibration set", "prevalence", "drawn labels", "estimate", "fair sample"]


class CalibrationSet(NamedTuple):
    """A calibration set with the model's logits.

    Attributes:
        scores: Logits.
        voted: Logits after label completion by the labels that are known in the table; `scores` without completion.
        truth: Ground truth, complete except for cells that reviewers skipped.
        blank: Whether each cell is unknown in the table.
    """

    scores: Float[np.ndarray, "image class"]
    voted: Float[np.ndarray, "image class"]
    truth: Int8[np.ndarray, "image class"]
    blank: Bool[np.ndarray, "image class"]


@dataclass(frozen=True, eq=False)
class Correction:
    """Affine maps of logits to log-odds that are correct on average.

    Attributes:
        source: Source of the correction.
        images: Number of images in the calibration set, or that the estimate is based on; number of drawn
            labels.
        prevalence: Share of all images that show each class.
        unknown: Share of the unknown labels of each class that are present.
        rate_present: Share of the present labels that are known, over all classes.
        rate_absent: Share of the absent labels that are known, over all classes.
        scale: Map of logits, for a random image.
        scale_filling: Map of logits after label completion, for unknown labels.
        centre: Log-odds at which the uncertain slope has no effect.
        covariance: Covariance of (slope, common shift), the uncertainty of the log-odds.
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
        """Mean number of present classes of a random image."""
        return float(self.prevalence.sum())

    @property
    def sentence(self) -> str:
        """Sentence for people about the source of the probabilities."""
        per_image = f"{self.tags:.3g} of {len(self.prevalence):,} classes present per image"
        number = f"{self.images:,} images"
        return {
            "calibration set": f"Probabilities are corrected by a calibration set of {number}: {per_image}.",
            "prevalence": f"Probabilities are corrected for the given prevalence: {per_image}.",
            "drawn labels": (
                f"Probabilities are corrected by the {self.images:,} answered labels that the review drew at random: "
                f"{per_image}."
            ),
            "estimate": (
                f"Probabilities are corrected for how labels became known, as estimated from {number}: "
                f"{self.rate_present:.0%} of the present and {self.rate_absent:.0%} of the absent labels are known, "
                f"{per_image}. A calibration set makes this certain: partlabel review RUN --calibrate 40."
            ),
            "fair sample": (
                f"Probabilities assume that known labels are a fair sample (no contrary evidence): {per_image}."
            ),
        }[self.source]

    def to_json(self) -> dict[str, Any]:
        """Convert the correction to JSON values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in ("scale", "scale_filling"):
            values[name] = values[name].to_json()
        return {
            name: each.tolist() if isinstance(each, np.ndarray) else each for name, each in values.items()
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Correction":
        """Rebuild a correction from the values of `to_json`.

        Raises:
            KeyError: A value is missing.
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


def mean_of_unknown(
    scale: Scale,
    logits: Float[np.ndarray, "image class"],
    blank: Bool[np.ndarray, "image class"],
    otherwise: Float[np.ndarray, " class"],
) -> Float[np.ndarray, " class"]:
    """Compute the mean probability of the unknown labels of each class; `otherwise` where it has none."""
    probability = np.where(blank, sigmoid(scale.slope * logits + scale.offset), 0)
    return np.where(blank.any(0), probability.sum(0) / np.maximum(blank.sum(0), 1), otherwise)
