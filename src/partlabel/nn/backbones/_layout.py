"""Conversion of a model's features, in any layout, to a feature map."""

from typing import Any, Literal

import torch
from torch import Tensor, nn

from partlabel.nn.backbones._base import Trunk


class MapLayout(nn.Module):
    """Turn features into a map `NCHW`.

    Args:
        layout: `NCHW` stays, `NHWC` is turned, tokens `NLC` are laid out as a square.
        prefix: Tokens before those of the places; they are left out of the map.
        class_token: Append the first of them to the channels of every place, so that the mean over the places is
            `[mean of the patch tokens ; class token]`.
    """

    def __init__(
        self, layout: Literal["NCHW", "NHWC", "NLC"], prefix: int = 0, class_token: bool = False
    ) -> None:
        super().__init__()
        self.layout = layout
        self.prefix = prefix
        self.class_token = class_token and prefix > 0

    def extra_repr(self) -> str:
        """Name the class token, which features in the cache depend on."""
        return "class_token" if self.class_token else ""

    def forward(self, features: Tensor) -> Tensor:
        """Lay features out as [batch, channel, height, width]."""
        if self.layout == "NHWC":
            return features.permute(0, 3, 1, 2)
        if self.layout == "NLC":
            tokens = features[:, self.prefix :]
            if self.class_token:
                tokens = torch.cat([tokens, features[:, :1].expand_as(tokens)], 2)
            side = int(tokens.shape[1] ** 0.5)
            return tokens.transpose(1, 2).unflatten(2, (side, side))
        return features


def layout_of(name: str, trunk: Trunk, features: Any, class_token: bool = False) -> MapLayout:
    """Find the layout of a model's features.

    Args:
        name: Model name, for messages.
        trunk: The model.
        features: Output of the model for a batch of images.
        class_token: Whether the class token is appended, as in `MapLayout`.

    Raises:
        ValueError: They are no map, and no tokens of a square one.
    """
    if not isinstance(features, Tensor) or features.ndim not in (3, 4):
        raise ValueError(f"{name} gives no feature map; take another backbone")
    if features.ndim == 4:
        last = trunk.layout == "NHWC" or features.shape[1] != trunk.width
        return MapLayout("NHWC" if last and features.shape[3] == trunk.width else "NCHW")
    places = features.shape[1] - trunk.prefix_tokens
    if int(places**0.5) ** 2 != places:
        raise ValueError(f"{name} gives {places} tokens, which make no square map; take another backbone")
    return MapLayout("NLC", trunk.prefix_tokens, class_token)
