"""What a head is: a feature map in, a `ClassOutput` out."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.nn.classes import Classes
from partlabel.nn.per_class_linear import PerClassLinear

FeatureMap = Float[Tensor, "batch channel height width"]
ClassMaps = Float[Tensor, "batch class height width"]


@runtime_checkable
class Prepared(Protocol):
    """What `Head.prepare` makes of a feature map."""

    def detach(self) -> "Prepared":
        """Without its past."""
        ...


class ClassOutput(NamedTuple):
    """What a head says of every class.

    Attributes:
        logits: Before the sigmoid.
        features: One feature per class, what class-specific transfer compares.
        attention: Where the feature was taken from; sums to one over the positions.
        image: One feature for the whole image, what image-to-image similarity compares.
    """

    logits: Float[Tensor, "batch class"]
    features: Float[Tensor, "batch class feature"] | None = None
    attention: Float[Tensor, "batch class height width"] | None = None
    image: Float[Tensor, "batch image_feature"] | None = None


class Head(nn.Module, ABC):
    """Feature map to classes.

    Args:
        channels: Of the feature map.
        classes: What is known of the classes.

    Attributes:
        num_classes: How many classes.
        feature_dim: Length of a class's feature; 0 for a head that has none.
        image_dim: Length of the image's feature; 0 for a head that has none.
        has_class_maps: Whether it can say how much each place speaks for each class.
        covariance_rank: Components of the `CovariancePooling` it wants between backbone and head; 0 for none.
    """

    feature_dim: int = 0
    image_dim: int = 0
    has_class_maps: ClassVar[bool] = False
    covariance_rank: ClassVar[int] = 0

    def __init__(self, channels: int, classes: Classes) -> None:
        super().__init__()
        self.channels = channels
        self.num_classes = len(classes)

    @property
    def last_linear(self) -> nn.Linear | PerClassLinear | None:
        """The layer with a row of weights for each class that the logits come out of, if that is how they do."""
        return None

    def prepare(self, feature_map: FeatureMap) -> Prepared:
        """What of the work hangs on nothing that is learned, so that copies of a head share it: they take it too."""
        return feature_map

    @abstractmethod
    def forward(self, feature_map: FeatureMap) -> ClassOutput:
        """One logit per class, and features and attention where the head has them."""

    def classify(self, features: Float[Tensor, "batch class feature"]) -> Float[Tensor, "batch class"]:
        """Logits from the features of the classes, for who changes them; only heads with features can."""
        raise NotImplementedError(f"the head {type(self).__name__} gives no features of classes")

    def class_maps(self, feature_map: FeatureMap) -> ClassMaps:
        """How much each place speaks for each class, in units of the logit; only heads with class maps can.

        In training it is asked for after `forward`, which follows the moments that it is standardised by.
        """
        raise NotImplementedError(f"the head {type(self).__name__} gives no class maps")


def scored_places(
    feature_map: FeatureMap,
    weight: Float[Tensor, "class channel"],
    bias: Float[Tensor, " class"],
    norm: nn.BatchNorm1d,
) -> ClassMaps:
    """`w_c . standardise(x_p) + b_c` by the moments that `norm` has followed so far."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, scaled = norm.running_mean.clone(), weight * torch.rsqrt(norm.running_var + norm.eps)
    scores = torch.einsum("cd,bdhw->bchw", scaled, feature_map)
    return scores + (bias - scaled @ mean)[:, None, None]
