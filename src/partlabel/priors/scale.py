"""An affine map of logits to calibrated ones: one slope, an offset for each class."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32


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
