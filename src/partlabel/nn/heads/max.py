"""The plain head with max pooling: of every channel the strongest response anywhere, as ML-GCN pools (CVPR 2019)."""

from jaxtyping import Float
from torch import Tensor

from partlabel.nn.heads._base import FeatureMap
from partlabel.nn.heads.average import Average


class Max(Average):
    """`logits = W standardise(max over places) + b`."""

    def pooled(self, feature_map: FeatureMap) -> Float[Tensor, "batch channel"]:
        """The maximum over the places."""
        return feature_map.float().amax((2, 3))
