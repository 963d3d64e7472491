"""Linear head on second-order features of the backbone: square roots of means and of covariances.

A data-efficient head for a few thousand images: as regularised and as fast as the linear head of `average.py`, and
better at every share of known labels that was measured (docs/log.md).
"""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from partlabel.nn.heads._base import FeatureMap, Head
from partlabel.nn.heads.average import Average
from partlabel.nn.power import root


class Covariance(Average):
    """`logits = W standardise(root([mean x ; mean q q^T])) + b`: a linear head on `CovariancePooling`."""

    covariance_rank: ClassVar[int] = 48
    has_class_maps: ClassVar[bool] = False
    class_maps = Head.class_maps

    def pooled(self, feature_map: FeatureMap) -> Float[Tensor, "batch channel"]:
        """Take the signed square root of the pooled features."""
        return root(super().pooled(feature_map))
