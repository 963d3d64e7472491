"""Places compared with vectors of classes by their cosine, in the space of a tower: the geometry of DualCoOp."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from partlabel.nn.classes import Classes
from partlabel.nn.heads._base import ClassMaps, ClassOutput, FeatureMap, Head
from partlabel.nn.regions import attention, compared
from partlabel.nn.shaped_by_state import ShapedByState

START = 0.02
"""Standard deviation of the vectors at the start: zeros have no direction."""
Vectors = Float[Tensor, "class vector dim"]


class JointRegion(ShapedByState, Head):
    """`logit_c = gain sum_p a_cp (cos(t+_c, y_p) - cos(t-_c, y_p))`, DualCoOp (NeurIPS 2022, arXiv:2206.09541).

    The attention is `a_c = softmax_p(sharpness cos(t+_c, y_p))`. `y_p = W x_p + o` is a place in the joint space of
    images and texts: the map of the tower, which is not trained, or x_p itself without one. There is no bias.

    Args:
        channels: Number of channels of the feature map.
        classes: Prior knowledge of the classes, with the joint space.
        sharpness: Sharpness of the attention; 0 averages over all places.
        gain: Factor of the attended cosines in the logit.
    """

    has_class_maps: ClassVar[bool] = True
    vectors: ClassVar[int] = 2
    """Number of vectors per class: presence, absence, and what a subclass adds."""

    projection: Float[Tensor, "dim channel"]
    offset: Float[Tensor, " dim"]

    def __init__(self, channels: int, classes: Classes, sharpness: float = 20.0, gain: float = 100.0) -> None:
        super().__init__(channels, classes)
        self.sharpness, self.gain = sharpness, gain
        self.adopts_shapes = self.joint is None
        self.register_buffer(
            "projection", torch.eye(channels) if self.joint is None else self.joint.projection
        )
        self.register_buffer("offset", torch.zeros(channels) if self.joint is None else self.joint.offset)
        if self.projection.shape[1] != channels:
            raise ValueError(
                f"the tower maps features of {self.projection.shape[1]} channels, and the backbone has {channels}: "
                "give --backbone with the backbone of the tower"
            )
        self.weight = nn.Parameter(
            torch.empty(len(classes), self.vectors, len(self.offset)).normal_(std=START)
        )

    def forward(self, feature_map: FeatureMap) -> ClassOutput:
        """Compute logits, and the attention of the places."""
        return self.compare(feature_map, self.weight)

    def compare(self, feature_map: FeatureMap, vectors: Vectors) -> ClassOutput:
        """Compute what `forward` does, for given vectors of the classes."""
        scores = self._cosines(feature_map, vectors)
        weights = attention(self.guide(scores), self.sharpness_now())
        present, absent = self.sides(scores)
        logits = (weights * (present - absent)).sum(2)
        return ClassOutput(logits, attention=weights.unflatten(2, feature_map.shape[2:]))

    def class_maps(self, feature_map: FeatureMap) -> ClassMaps:
        """Compute the scores of the places, presence less absence, in units of the logit."""
        present, absent = self.sides(self._cosines(feature_map, self.weight))
        return (present - absent).unflatten(2, feature_map.shape[2:])

    def guide(self, scores: Float[Tensor, "vector batch class place"]) -> Float[Tensor, "batch class place"]:
        """Return the score that the attention follows: that of presence."""
        return scores[0]

    def sharpness_now(self) -> float | Float[Tensor, ""]:
        """Return the sharpness of the attention."""
        return self.sharpness

    def sides(
        self, scores: Float[Tensor, "vector batch class place"]
    ) -> tuple[Float[Tensor, "batch class place"], Float[Tensor, "batch class place"]]:
        """Return the scores of presence and of absence, in units of the logit."""
        return self.gain * scores[0], self.gain * scores[1]

    def _cosines(
        self, feature_map: FeatureMap, vectors: Vectors
    ) -> Float[Tensor, "vector batch class place"]:
        """Compare every vector of every class with every place."""
        with torch.autocast(feature_map.device.type, enabled=False):
            return compared(normalize(vectors.float(), dim=2), self.places(feature_map))

    def places(self, feature_map: FeatureMap) -> Float[Tensor, "batch dim place"]:
        """Compute the unit vector of every place in the joint space."""
        places = torch.einsum("dk,bkp->bdp", self.projection, feature_map.float().flatten(2))
        return normalize(places + self.offset[:, None], dim=1)
