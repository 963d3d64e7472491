"""An affine map of logits to calibrated ones: a slope, which classes share that were tuned together, and offsets."""

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
    """Calibration of logits: `slope * logit_c + offset_c`, with a slope above 0, which keeps the ranking.

    Attributes:
        slope: Slope of all classes, or of each: those of a tagger that was extended were not tuned together.
        offset: Offset of each class.
    """

    slope: float | Float[np.ndarray, " class"]
    offset: Float[np.ndarray, " class"]

    def logits(self, logits: Float[np.ndarray, "image class"]) -> Float32[np.ndarray, "image class"]:
        """Compute calibrated logits."""
        slope = self.slope.astype(logits.dtype) if isinstance(self.slope, np.ndarray) else self.slope
        return (slope * logits + self.offset).astype(np.float32)  # the same bits for one slope and for many

    def to_json(self) -> dict[str, Any]:
        """Convert the scale to JSON values."""
        return {"slope": np.asarray(self.slope).tolist(), "offset": self.offset.tolist()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Scale":
        """Rebuild a scale from the values of `to_json`."""
        slope, offset = value["slope"], np.array(value["offset"], np.float64)
        if not isinstance(slope, list):
            return cls(float(slope), offset)
        if len(slope) != len(offset):
            raise ValueError(f"slope has {len(slope)} entries for {len(offset)} classes")
        return cls(np.array(slope, np.float64), offset)

    @property
    def slopes(self) -> str:
        """The slope, or the range of those of the classes, for people."""
        lowest, highest = float(np.min(self.slope)), float(np.max(self.slope))
        return f"{lowest:.3f}" if lowest == highest else f"{lowest:.3f} to {highest:.3f}"

    def per_class(self) -> Float[np.ndarray, " class"]:
        """Return the slope of each class."""
        return np.broadcast_to(np.asarray(self.slope, np.float64), self.offset.shape)
