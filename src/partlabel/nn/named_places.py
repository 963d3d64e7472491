"""Places of a photo beside class names, in the space of a tower: what a tower says of a photo without any label."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from partlabel.nn.joint_space import JointSpace
from partlabel.nn.pooling import FeatureMap

NO_TOWER = (
    "photos are compared with class names through a tower, and there is none: give --tower FOLDER (partlabel align "
    "makes one; docs/towers.md), or another --method"
)


@torch.no_grad()
def name_vectors(space: JointSpace, prompt: str) -> Float[Tensor, "class dim"]:
    """Compute the unit vector of a sentence about each class, `PROMPT NAME.`."""
    return space.encode(space.words(prompt).expand(len(space.names), 1, -1, -1))[:, 0]


def sharpness_of(space: JointSpace | None, given: float | None) -> float:
    """Return the given factor of a cosine in a softmax, else that of the tower; 1 for a model that was loaded."""
    if given is not None:
        return given
    return 1.0 if space is None else space.scale


class NamedPlaces(nn.Module):
    """Cosines of the places of a photo, and of the whole photo, with class names.

    Nothing of it is saved with a model: it follows from the tower, which training is given and prediction has no need
    of.

    Args:
        space: Space of the tower; None for a model that was loaded.
        channels: Number of channels of the feature map.
        prompt: Words before the class name.

    Raises:
        ValueError: The map of the tower takes features of another length.
    """

    projection: Float[Tensor, "dim channel"]
    offset: Float[Tensor, " dim"]
    text: Float[Tensor, "class dim"]

    def __init__(self, space: JointSpace | None, channels: int, prompt: str) -> None:
        super().__init__()
        self.there = space is not None
        if space is None:
            return
        if space.projection.shape[1] != channels:
            raise ValueError(
                f"the tower maps features of {space.projection.shape[1]} channels, and the head takes {channels}: give "
                "--backbone with the backbone of the tower, or --head region, which takes no class token"
            )
        for name, value in (
            ("projection", space.projection),
            ("offset", space.offset),
            ("text", name_vectors(space, prompt)),
        ):
            self.register_buffer(name, value, persistent=False)

    @torch.no_grad()
    def forward(
        self, feature_map: FeatureMap
    ) -> tuple[Float[Tensor, "batch class"], Float[Tensor, "batch place class"]]:
        """Compute the cosines of the photo, and those of its places.

        The vector of the photo is the mean over its places before normalisation, which is the map of the mean feature.

        Raises:
            ValueError: There is no tower.
        """
        if not self.there:
            raise ValueError(NO_TOWER)
        with torch.autocast(feature_map.device.type, enabled=False):
            flat = feature_map.float().flatten(2).transpose(1, 2)
            places = flat @ self.projection.T + self.offset
            photo = normalize(places.mean(1), dim=1)
            return photo @ self.text.T, normalize(places, dim=2) @ self.text.T
