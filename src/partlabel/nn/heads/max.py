"""The plain head with max pooling: of every channel the strongest response anywhere, as ML-GCN pools (CVPR 2019)."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from partlabel.nn.heads._base import FeatureMap, Head
from partlabel.nn.heads.average import Average


class Max(Average):
    """`logits = W standardise(max over places) + b`: of the maxima of many places, not of the scores of any."""

    has_class_maps: ClassVar[bool] = False
    class_maps = Head.class_maps

    def reduced(self, feature_map: FeatureMap) -> Float[Tensor, "batch channel"]:
        """The maximum over the places."""
        return feature_map.float().amax((2, 3))
