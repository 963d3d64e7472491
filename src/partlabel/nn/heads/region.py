"""Two vectors a class, one for presence and one for absence, each compared with every place of the image.

The geometry of DualCoOp (Sun et al., NeurIPS 2022, arXiv:2206.09541), with vectors that are learned directly, where the
paper learns prompts and a text encoder turns them into vectors. With `places="own"` it is the baseline without text of
PositiveCoOp (Rawlekar et al., WACV 2025, arXiv:2409.08381). The third vector, evidence, and the competition of classes
for a place are those of DualCoOp++ (Hu et al., TPAMI 2024, arXiv:2308.01890).
"""

from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from partlabel.nn.classes import Classes
from partlabel.nn.heads._base import ClassMaps, ClassOutput, FeatureMap, Head
from partlabel.nn.regions import PlaceScores, attention, won

START = 0.02
"""Standard deviation of the vectors at the start where cosines are compared: zeros have no direction."""


class Region(Head):
    """`logit_c = gain (sum_p a_cp s+_cp - sum_p a_cp s-_cp) + b_c`, `s+_cp = w+_c . x_p`, `s-_cp = w-_c . x_p`.

    The attention is `a_c = softmax_p(sharpness s+_c)`. x is the feature map, standardised per channel by the statistics
    of its means over the image. The vectors start at zero, so that the attention starts uniform and the head is that of
    `average`.

    Args:
        channels: Number of channels of the feature map.
        classes: Prior knowledge of the classes; biases start at their prevalence.
        places: Score whose softmax weighs the places: `present`, that of presence, for both vectors (DualCoOp);
            `evidence`, that of a third vector (DualCoOp++); `own`, for each vector its own (PositiveCoOp's baseline).
        sharpness: Sharpness of the attention; 0 averages over all places.
        winner: Sharpness of the competition of classes for a place, 0 for none: scores of presence are multiplied by
            1 plus a softmax over the classes (DualCoOp++: 200, on cosines).
        cosine: Whether places and vectors are compared by their cosine, as in an image-text space; the papers then
            have sharpness 20 and gain 100.
        gain: Factor of the attended scores in the logit.
    """

    has_class_maps: ClassVar[bool] = True

    def __init__(
        self,
        channels: int,
        classes: Classes,
        places: Literal["present", "evidence", "own"] = "present",
        sharpness: float = 0.1,
        winner: float = 0.0,
        cosine: bool = False,
        gain: float = 1.0,
    ) -> None:
        super().__init__(channels, classes)
        self.image_dim = channels
        self.places, self.sharpness, self.winner = places, sharpness, winner
        self.cosine, self.gain = cosine, gain
        self.standardise = nn.BatchNorm1d(channels, affine=False)
        vectors = 3 if places == "evidence" else 2
        start = torch.zeros(vectors, len(classes), channels)
        self.weight = nn.Parameter(start.normal_(std=START) if cosine else start)
        self.bias = nn.Parameter(classes.prior_logits.clone())

    def forward(self, feature_map: FeatureMap) -> ClassOutput:
        """Compute logits, the standardised mean as the image's feature, and the attention of presence."""
        plain = feature_map.float()
        pooled = plain.mean((2, 3))
        if self.training and len(pooled) > 1:
            self.standardise(pooled.detach())
        scores = self._scores(plain)
        present, absent = won(scores[0], self.winner), scores[1]
        of_present, of_absent = self._attention(scores)
        attended = (of_present * present - of_absent * absent).sum(2)
        mean, scale = self._statistics()
        return ClassOutput(
            self.gain * attended + self.bias,
            attention=of_present.unflatten(2, plain.shape[2:]),
            image=(pooled - mean) * scale,
        )

    def class_maps(self, feature_map: FeatureMap) -> ClassMaps:
        """Compute the scores of the places, presence less absence, in units of the logit."""
        scores = self._scores(feature_map.float())
        maps = self.gain * (won(scores[0], self.winner) - scores[1]) + self.bias[:, None]
        return maps.unflatten(2, feature_map.shape[2:])

    def _scores(self, feature_map: FeatureMap) -> Float[Tensor, "vector batch class place"]:
        """Compare every vector of every class with every place."""
        mean, scale = self._statistics()
        places = (feature_map.flatten(2) - mean[:, None]) * scale[:, None]
        weight: Tensor = self.weight
        if self.cosine:
            places, weight = normalize(places, dim=1), normalize(weight, dim=2)
        return torch.einsum("vcd,bdp->vbcp", weight, places)

    def _attention(
        self, scores: Float[Tensor, "vector batch class place"]
    ) -> tuple[PlaceScores, PlaceScores]:
        """Compute the weights of the places for presence and for absence."""
        if self.places == "own":
            return attention(scores[0], self.sharpness), attention(scores[1], self.sharpness)
        guide = scores[2 if self.places == "evidence" else 0]
        both = attention(guide, self.sharpness)
        return both, both

    def _statistics(self) -> tuple[Float[Tensor, " channel"], Float[Tensor, " channel"]]:
        """Read the running mean and inverse standard deviation of every channel."""
        norm = self.standardise
        assert norm.running_mean is not None
        assert norm.running_var is not None
        return norm.running_mean.clone(), torch.rsqrt(norm.running_var + norm.eps)
