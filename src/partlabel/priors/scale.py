"""An affine map of logits to calibrated ones: one slope, an offset for each class."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32

LIMIT = 30.0
"""Log-odds beyond which a probability is not told from 0 or 1."""


def sigmoid(log_odds: Float[np.ndarray, "*any"]) -> Float[np.ndarray, "*any"]:
    """Convert log-odds to probabilities that are never exactly 0 or 1, so that their logarithms are finite."""
    return 1 / (1 + np.exp(-np.clip(log_odds, -LIMIT, LIMIT)))


def log_odds(probability: Float[np.ndarray, "*any"], least: float = 1e-9) -> Float[np.ndarray, "*any"]:
    """Convert probabilities, clipped to `least` from 0 and 1, to log-odds."""
    p = probability.astype(np.float64).clip(least, 1 - least)
    return np.log(p) - np.log1p(-p)


class Scale(NamedTuple):
    """How sure logits may be: `slope * logit_c + offset_c`. The slope is above 0, so that nothing ranks otherwise."""

    slope: float
    offset: Float[np.ndarray, " class"]

    def logits(self, logits: Float[np.ndarray, "image class"]) -> Float32[np.ndarray, "image class"]:
        """Logits that are as sure as they are right."""
        return (self.slope * logits + self.offset).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """As JSON can say it."""
        return {"slope": float(self.slope), "offset": self.offset.tolist()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Scale":
        """What `to_json` gave."""
        return cls(float(value["slope"]), np.array(value["offset"], np.float64))
