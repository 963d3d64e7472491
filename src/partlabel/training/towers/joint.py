"""Image-text models as towers: encoders that were trained together, such as those of open_clip, used as they are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from partlabel import __version__
from partlabel.core.files import write_json
from partlabel.data.cache.pooling_store import weights_digest
from partlabel.data.mentions import plain_name
from partlabel.nn import backbone as bodies
from partlabel.nn import backbones
from partlabel.nn.backbone import Backbone
from partlabel.nn.backbones import Joint, Trunk
from partlabel.nn.joint_space import JointSpace
from partlabel.training.frozen_backbone import mean_channels, trunk_digest
from partlabel.training.towers._base import Tower

CONFIG = "config.json"


@dataclass(frozen=True, eq=False)
class JointTower(Tower):
    """An image-text model; its weights are loaded when they are first needed.

    Attributes:
        model: Name of the model, `source:name`.
        weights: File of its weights; empty for those that the source downloads.
        side: Side of the images in pixels.
    """

    model: str
    weights: str
    side: int

    @classmethod
    def of(cls, model: str, weights: str = "") -> "JointTower":
        """Name a model, with the image size that it was trained on.

        Raises:
            ValueError: There is no such model.
            FileNotFoundError: There is no such file.
        """
        if weights and not Path(weights).is_file():
            raise FileNotFoundError(f"there is no file of weights {weights} for the tower {model}")
        source, _, name = model.partition(":")
        return cls(model, str(Path(weights).resolve()) if weights else "", backbones.get(source)().side(name))

    @property
    def name(self) -> str:
        """Name for messages."""
        return f"tower {self.model}"

    @property
    def image_size(self) -> int:
        """Side in pixels of the images that the image encoder takes."""
        return self.side

    @cached_property
    def _trunk(self) -> Trunk:
        trunk = backbones.trunk(self.model, False if self.weights else "auto", self.image_size)
        if self.weights:
            backbones.load_weights(trunk, self.weights, self.model)
        if trunk.joint is None:
            raise ValueError(
                f"{self.model} has no text encoder and is no tower: take an image-text model, or align it with an "
                f"embedder of texts (partlabel align --backbone {self.model})"
            )
        return trunk

    @cached_property
    def _joint(self) -> Joint:
        joint = self._trunk.joint
        assert joint is not None
        return joint()

    @cached_property
    def digest(self) -> str:
        """Hash of the weights of both encoders."""
        halves = weights_digest(self._trunk.model) + weights_digest(self._joint.text_model)
        return blake2b(halves + f"{self.model} {self.image_size}".encode(), digest_size=16).hexdigest()

    @property
    def scale(self) -> float:
        """Inverse temperature."""
        return self._joint.scale

    @property
    def bias(self) -> float | None:
        """Offset of the logits of a model that was trained with a sigmoid, else None."""
        return self._joint.bias

    def fits(self, backbone: Backbone) -> bool:
        """Return whether a backbone is the image encoder, with its class token, and has no trained part."""
        same = backbone.is_frozen and mean_channels(backbone) == 2 * self._trunk.width
        return same and trunk_digest(backbone) == self._image_digest

    @cached_property
    def _image_digest(self) -> str:
        own = nn.ModuleDict({"model": self._trunk.model})  # as a backbone names its parameters
        return weights_digest(own).hex()

    def at(self, image_size: int) -> "JointTower":
        """Return the model with positions for images of another size."""
        return self if image_size == self.side else replace(self, side=image_size)

    def check_backbone(self, backbone: Backbone, name: str) -> None:
        """Check that the backbone is the image encoder; arguments and errors are those of `Tower.check_backbone`."""
        if not backbone.is_frozen or trunk_digest(backbone) != self._image_digest:
            weights = f" --weights {self.weights}" if self.weights else ""
            raise ValueError(
                f"the image encoder of the tower is {self.model}, and the backbone is {name}, or with other weights: "
                f"give --backbone {self.model}{weights} --trainable none"
            )

    def joint_space(self, names: Sequence[str]) -> JointSpace:
        """Return the space of the model, in which its features of places are; errors are those of `Tower`."""
        width = self._trunk.width
        plain = tuple(plain_name(name) for name in names)
        return JointSpace(
            plain,
            self._joint.network(),
            lambda vectors: vectors,
            torch.eye(width),
            torch.zeros(width),
            self.scale,
        )

    def encoder(self, covariance_rank: int = 0) -> Backbone:
        """Build the image encoder; arguments and errors are those of `Tower.encoder`."""
        return bodies.create(
            self.model,
            "auto",
            "none",
            self.image_size,
            covariance_rank=covariance_rank,
            weights=self.weights or None,
            class_token=True,
        )

    def image(self, features: Float[Tensor, "image channel"]) -> Float[Tensor, "image dim"]:
        """Compute unit vectors of images: their class tokens, which follow the means of the places."""
        return normalize(features[:, self._trunk.width :].float(), dim=1)

    def dense(self, feature_map: Float[Tensor, "image channel *place"]) -> Float[Tensor, "image dim *place"]:
        """Return the vector of every place, without the class token."""
        return feature_map[:, : self._trunk.width].float()

    def text(self, sentences: Sequence[str]) -> Float[Tensor, "text dim"]:
        """Compute unit vectors of sentences."""
        return normalize(self._joint.encode(sentences), dim=1)

    def save(self, folder: str | Path) -> Path:
        """Write which model it is; its weights stay where they are."""
        about = {"partlabel": __version__, "model": self.model, "weights": self.weights}
        write_json(Path(folder) / CONFIG, about)
        return Path(folder)
