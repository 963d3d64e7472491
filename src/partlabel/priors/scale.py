"""An affine map of logits to calibrated ones: one slope, an offset for each class."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32

LIMIT = 30.0
"""Maximum absolute log-odds; beyond, a probability counts as 0 or 1."""


def sigmoid(log_odds: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Convert log-odds to probabilities that are never exactly 0 or 1, so that their logarithms are finite."""
    from scipy.special import expit  # `inspect` imports this module and needs no SciPy

    return expit(np.clip(log_odds, -LIMIT, LIMIT))


def log_odds(probability: Float[np.ndarray, "*any"], least: float = 1e-9) -> Float[np.ndarray, "*any"]:
    """Convert probabilities, clipped to `least` from 0 and 1, to log-odds."""
    from scipy.special import logit

    return logit(probability.astype(np.float64).clip(least, 1 - least))


class Scale(NamedTuple):
    """Calibration of logits: `slope * logit_c + offset_c`, with a slope above 0, which keeps the ranking."""

    slope: float
    offset: Float[np.ndarray, " class"]

    def logits(self, logits: Float[np.ndarray, "image class"]) -> Float32[np.ndarray, "image class"]:
        """Compute calibrated logits."""
        return (self.slope * logits + self.offset).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Convert the scale to JSON values."""
        return {"slope": float(self.slope), "offset": self.offset.tolist()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Scale":
        """Rebuild a scale from the values of `to_json`."""
        return cls(float(value["slope"]), np.array(value["offset"], np.float64))
