"""Linear head on max pooling: the maximum of every channel over the places, as in ML-GCN (CVPR 2019)."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from partlabel.nn.heads._base import FeatureMap, Head
from partlabel.nn.heads.average import Average


class Max(Average):
    """`logits = W standardise(max over places) + b`: the maximum is taken per channel, not per class score."""

    has_class_maps: ClassVar[bool] = False
    class_maps = Head.class_maps

    def reduced(self, feature_map: FeatureMap) -> Float[Tensor, "batch channel"]:
        """Compute the maximum over the places."""
        return feature_map.float().amax((2, 3))
