"""The linear head on rooted means: average pooling, a signed square root, standardised, and one linear layer.

The root is power normalisation (Perronnin et al., "Improving the Fisher Kernel", ECCV 2010), which damps channels that
fire strongly in few places. As cheap as `average.py`: it needs no pooling to be fitted, as `covariance.py` does.
"""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from partlabel.nn.heads._base import FeatureMap, Head
from partlabel.nn.heads.average import Average
from partlabel.nn.power import root


class RootedAverage(Average):
    """`logits = W standardise(root(mean over places)) + b`."""

    has_class_maps: ClassVar[bool] = False
    class_maps = Head.class_maps

    def pooled(self, feature_map: FeatureMap) -> Float[Tensor, "batch channel"]:
        """Compute the signed square root of the mean over the places."""
        return root(super().pooled(feature_map))
