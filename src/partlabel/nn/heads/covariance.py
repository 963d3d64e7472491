"""The linear head on richer features of the frozen backbone: its rooted means, and what fires together.

The data-efficient trunk for a collection of a few thousand photos: as regularised and as quick as the plain linear head
of `average.py`, and ahead of it at every share of known labels that was measured (docs/log.md).
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
        """The signed square root of what the pooling gives."""
        return root(super().pooled(feature_map))
