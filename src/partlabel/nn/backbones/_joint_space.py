"""Image halves of image-text models as trunks: the vector of the image, and that of every place, in the space of texts.

The vector of a place is what the model would give for the image if its last step of mixing places saw that place alone:
an attention pool becomes its value and output projections, an average the place itself, and of a model with a class
token the last block becomes its value path. No parameter is added or trained (MaskCLIP: Zhou, Loy and Dai, "Extract
Free Dense Labels from CLIP", ECCV 2022, arXiv:2112.01071; the attention pool of ResNets so in DualCoOp).
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

TEXTS_AT_ONCE = 64
"""Sentences that are encoded at a time."""


class JointTrunk(nn.Module, ABC):
    """A trunk whose features are tokens in the space of texts: the vector of the image, then those of its places.

    Args:
        visual: Image half of an image-text model.
    """

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual: Any = visual

    @abstractmethod
    def forward_features(
        self, images: Float[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image token dim"]:
        """Compute the vector of each image and those of its places."""

    @abstractmethod
    def last_stage(self) -> tuple[nn.Module, ...]:
        """Return the modules of the last stage, and all after it."""

    def trained(self) -> set[str]:
        """Name the parameters of the last stage, and of all after it."""
        last = {id(each) for module in self.last_stage() for each in module.parameters()}
        return {name for name, each in self.named_parameters() if id(each) in last}


def itself_alone(tokens: Tensor) -> Float[Tensor, "token token"]:
    """Return the mask that lets every token attend to itself alone."""
    others = ~torch.eye(tokens.shape[1], dtype=torch.bool, device=tokens.device)
    return torch.zeros_like(others, dtype=tokens.dtype).masked_fill(others, float("-inf"))


def each_alone(
    places: Float[Tensor, "image place channel"], copies: int = 1
) -> Float[Tensor, "single copy channel"]:
    """Make every place an image of its own, of some copies of this place."""
    return places.flatten(0, 1)[:, None].expand(-1, copies, -1)


def image_and_places(
    image: Float[Tensor, "image dim"], places: Float[Tensor, "single dim"]
) -> Float[Tensor, "image token dim"]:
    """Put the vectors of images before those of their places."""
    return torch.cat([image[:, None], places.unflatten(0, (image.shape[0], -1))], 1)
