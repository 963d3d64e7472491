"""Base class of the heads: a feature map in, a `ClassOutput` out."""

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.nn.classes import Classes
from partlabel.nn.per_class_linear import PerClassLinear
from partlabel.nn.pooling import FeatureMap

ClassMaps = Float[Tensor, "batch class height width"]


@runtime_checkable
class Prepared(Protocol):
    """The output of `Head.prepare`."""

    def detach(self) -> "Prepared":
        """Detach it from the autograd graph."""
        ...


class ClassOutput(NamedTuple):
    """The outputs of a head.

    Attributes:
        logits: Logits, before the sigmoid.
        features: One feature per class, which class-specific transfer compares.
        attention: Weights of the places that each class's feature was taken from; they sum to 1 over the places.
        image: One feature of the whole image, which image-to-image similarity compares.
    """

    logits: Float[Tensor, "batch class"]
    features: Float[Tensor, "batch class feature"] | None = None
    attention: Float[Tensor, "batch class height width"] | None = None
    image: Float[Tensor, "batch image_feature"] | None = None


class Head(nn.Module, ABC):
    """From a feature map to classes.

    Args:
        channels: Number of channels of the feature map.
        classes: Prior knowledge of the classes.

    Attributes:
        num_classes: Number of classes.
        rules: Rules between the classes; None without rules.
        class_vectors: Vectors of the class names; None without them.
        joint: The space of a tower; None without one.
        feature_dim: Length of a class's feature; 0 for a head that has none.
        image_dim: Length of the image's feature; 0 for a head that has none.
        has_class_maps: Whether the head computes a score per class and place.
        is_linear: Whether the head is a linear layer on one pooled feature of the image, as `average.Average` and its
            subclasses are, so that the full-batch solver can fit it.
        wants_class_token: Whether the class token of a transformer is appended to the channels of every place, for
            heads that reduce the map to a vector; the others are given the patch tokens alone.
        covariance_rank: Number of components of the `CovariancePooling` that it needs between backbone and head; 0 for
            none.
    """

    feature_dim: int = 0
    image_dim: int = 0
    has_class_maps: ClassVar[bool] = False
    is_linear: ClassVar[bool] = False
    wants_class_token: ClassVar[bool] = False
    covariance_rank: ClassVar[int] = 0

    def __init__(self, channels: int, classes: Classes) -> None:
        super().__init__()
        self.channels = channels
        self.num_classes = len(classes)
        self.rules = classes.rules
        self.class_vectors = classes.vectors
        self.joint = classes.joint

    @classmethod
    def needs_only_mean(cls) -> bool:
        """Return whether the head gives the same logits for the mean of a feature map, so that cached means suffice."""
        return False

    @property
    def last_linear(self) -> nn.Linear | PerClassLinear | None:
        """The layer with one row of weights per class that computes the logits, where there is one."""
        return None

    def prepare(self, feature_map: FeatureMap) -> Prepared:
        """Compute what does not depend on parameters, for copies of a head to share; `forward` accepts it."""
        return feature_map

    @abstractmethod
    def forward(self, feature_map: FeatureMap) -> ClassOutput:
        """Compute one logit per class, and features and attention where the head has them."""

    def classify(self, features: Float[Tensor, "batch class feature"]) -> Float[Tensor, "batch class"]:
        """Compute logits from given class features; only heads with class features support it."""
        raise NotImplementedError(f"the head {type(self).__name__} gives no features of classes")

    def class_maps(self, feature_map: FeatureMap) -> ClassMaps:
        """Compute scores per class and place, in units of the logit; only heads with class maps support it.

        In training, call it after `forward`, which updates the moments that it standardises by.
        """
        raise NotImplementedError(f"the head {type(self).__name__} gives no class maps")


def scored_places(
    feature_map: FeatureMap,
    weight: Float[Tensor, "class channel"],
    bias: Float[Tensor, " class"],
    norm: nn.BatchNorm1d,
) -> ClassMaps:
    """Compute `w_c . standardise(x_p) + b_c` with the running moments of `norm`."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, scaled = norm.running_mean.clone(), weight * torch.rsqrt(norm.running_var + norm.eps)
    scores = torch.einsum("cd,bdhw->bchw", scaled, feature_map)
    return scores + (bias - scaled @ mean)[:, None, None]
