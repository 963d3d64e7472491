"""A region of each class, found by a query of the class and matched with its name, in the space of a tower: TRM-ML."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from partlabel.nn.classes import Classes
from partlabel.nn.heads._base import ClassMaps, ClassOutput, FeatureMap
from partlabel.nn.heads.joint_region import JointRegion
from partlabel.nn.named_places import name_vectors
from partlabel.nn.regions import attention


class JointQuery(JointRegion):
    """`logit_c = w_c standardise(cos(r_c, t_c)) + b_c`, TRM-ML (ACM MM 2024, arXiv:2407.18520).

    `r_c = (I + V) sum_p a_cp y_p` is the region of class c, `a_c = softmax_p(sharpness cos(q_c, y_p))`, and `y_p` a
    place in the joint space of images and texts. Learned are the query q_c, which starts as t_c, the vector of the
    name, V, which starts at zero, w_c from 1, and b_c from the prevalence.

    Args:
        channels: Number of channels of the feature map.
        classes: Prior knowledge of the classes, with the joint space.
        sharpness: Sharpness of the attention; 0 averages over all places.
        prompt: Words before a class name.
    """

    vectors: ClassVar[int] = 1
    """The query."""

    text: Float[Tensor, "class dim"]

    def __init__(
        self, channels: int, classes: Classes, sharpness: float = 20.0, prompt: str = "a photo of a"
    ) -> None:
        super().__init__(channels, classes, sharpness, gain=1.0)
        queries = self.weight.detach()[:, 0]
        text = normalize(queries, dim=1) if self.joint is None else name_vectors(self.joint, prompt)
        self.register_buffer("text", text)
        self.weight.data.copy_(text[:, None])
        self.feature_dim = text.shape[1]
        self.value = nn.Parameter(torch.zeros(self.feature_dim, self.feature_dim))
        self.standardise = nn.BatchNorm1d(len(classes), affine=False)
        self.slope = nn.Parameter(torch.ones(len(classes)))
        self.bias = nn.Parameter(classes.prior_logits.clone())

    def forward(self, feature_map: FeatureMap) -> ClassOutput:
        """Compute logits, regions of length 1 as class features, and the attention of the places."""
        with torch.autocast(feature_map.device.type, enabled=False):
            places = self.places(feature_map)
            score = torch.einsum("cd,bdp->bcp", normalize(self.weight[:, 0].float(), dim=1), places)
            weights = attention(score, self.sharpness)
            features = normalize(self._regions(weights, places.transpose(1, 2)), dim=2)
            logits = self.classify(features)
        return ClassOutput(logits, features, weights.unflatten(2, feature_map.shape[2:]))

    def _regions(
        self, weights: Float[Tensor, "batch class place"], places: Float[Tensor, "batch place dim"]
    ) -> Float[Tensor, "batch class dim"]:
        """Compute `(I + V) sum_p a_cp y_p`, V on whichever are fewer, places or classes."""
        if places.shape[1] < len(self.text):
            return weights @ self.valued(places)
        return self.valued(weights @ places)

    def classify(self, features: Float[Tensor, "batch class dim"]) -> Float[Tensor, "batch class"]:
        """Match the region of each class with its name."""
        match = torch.einsum("bcd,cd->bc", features, self.text)
        if self.training and len(match) > 1:
            match = self.standardise(match)
        else:  # one image has no variance to standardise by
            mean, scale = self._statistics()
            match = (match - mean) * scale
        return self.slope * match + self.bias

    def class_maps(self, feature_map: FeatureMap) -> ClassMaps:
        """Compute the match of every place, in units of the logit."""
        places = normalize(self.valued(self.places(feature_map).transpose(1, 2)), dim=2)
        mean, scale = self._statistics()
        match = (torch.einsum("cd,bpd->bcp", self.text, places) - mean[:, None]) * scale[:, None]
        return (self.slope[:, None] * match + self.bias[:, None]).unflatten(2, feature_map.shape[2:])

    def valued(self, vectors: Float[Tensor, "*row dim"]) -> Float[Tensor, "*row dim"]:
        """Compute `(I + V) y`."""
        return vectors + vectors @ self.value.T.float()

    def _statistics(self) -> tuple[Float[Tensor, " class"], Float[Tensor, " class"]]:
        """Read the running mean and inverse standard deviation of the match of every class."""
        norm = self.standardise
        assert norm.running_mean is not None and norm.running_var is not None
        return norm.running_mean.clone(), torch.rsqrt(norm.running_var + norm.eps)
