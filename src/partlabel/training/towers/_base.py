"""What a tower is: an image encoder and a text encoder that put photos and sentences into one space."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from partlabel.data.mentions import plain_name
from partlabel.nn.backbone import Backbone
from partlabel.nn.joint_space import JointSpace

TEMPLATES = (
    "a photo of a {}",
    "a picture with a {} in it",
    "there is a {} in this scene",
    "a {} and other things",
    "several {}",
)
"""Sentences about a class; its vector is the mean of theirs."""


class Tower(ABC):
    """An image encoder and a text encoder in one space; towers inherit from it.

    The image encoder is a frozen backbone, whose features the feature cache keeps; `image` and `dense` map these.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """Name for messages."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Hash of all weights; towers with the same one give the same scores."""

    @property
    @abstractmethod
    def image_size(self) -> int:
        """Side in pixels of the images that the image encoder takes."""

    @property
    @abstractmethod
    def scale(self) -> float:
        """Inverse temperature: the factor of a cosine in a logit."""

    @property
    @abstractmethod
    def bias(self) -> float | None:
        """Offset of the logits of a tower that was trained with a sigmoid, whose logits are log-odds; else None."""

    @abstractmethod
    def fits(self, backbone: Backbone) -> bool:
        """Return whether the mean features of a backbone of the tower's image size are those that `image` takes."""

    def at(self, image_size: int) -> "Tower":
        """Return the tower for images of a size; itself, if its weights do not depend on the size."""
        return self

    @abstractmethod
    def check_backbone(self, backbone: Backbone, name: str) -> None:
        """Check that the places of a backbone's feature map are those that `dense` takes.

        Args:
            backbone: Frozen backbone of the features.
            name: Name of the backbone, for the message.

        Raises:
            ValueError: The backbone, or its weights, are others.
        """

    @abstractmethod
    def joint_space(self, names: Sequence[str]) -> JointSpace:
        """Return the common space, with gradients to the tokens of sentences about some classes.

        Raises:
            ValueError: The text encoder has no gradients, or is installed in another version.
        """

    @abstractmethod
    def encoder(self, covariance_rank: int = 0) -> Backbone:
        """Build the image encoder.

        Args:
            covariance_rank: Components of the covariance pooling, as in a training with a covariance head.

        Raises:
            ValueError: Its weights are not those of the tower.
            OSError: Its weights cannot be read or downloaded.
        """

    @abstractmethod
    def image(self, features: Float[Tensor, "image channel"]) -> Float[Tensor, "image dim"]:
        """Compute unit vectors of images, from the mean of each feature map of the image encoder."""

    @abstractmethod
    def dense(self, feature_map: Float[Tensor, "image channel *place"]) -> Float[Tensor, "image dim *place"]:
        """Compute the vector of every place of feature maps, without normalisation."""

    @abstractmethod
    def text(self, sentences: Sequence[str]) -> Float[Tensor, "text dim"]:
        """Compute unit vectors of sentences.

        Raises:
            ImportError: The text encoder is not installed.
            ValueError: It is installed in another version.
        """

    @abstractmethod
    def save(self, folder: str | Path) -> Path:
        """Write the tower, or what finds it again, to a folder that `loading.load` reads."""

    def classes(self, names: Sequence[str]) -> Float[Tensor, "class dim"]:
        """Compute unit vectors of classes, each the mean over `TEMPLATES`."""
        plain = [plain_name(name) for name in names]
        vectors = self.text([template.format(name) for name in plain for template in TEMPLATES])
        return normalize(vectors.unflatten(0, (len(plain), len(TEMPLATES))).mean(1), dim=1)

    def similarity(
        self, features: Float[Tensor, "image channel"], names: Sequence[str]
    ) -> Float[Tensor, "image class"]:
        """Compute the cosine of every image with every class name."""
        return self.image(features) @ self.classes(names).T
