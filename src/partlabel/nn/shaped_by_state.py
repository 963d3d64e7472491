"""Modules whose sizes depend on a tower, which a model that is loaded for prediction has no need of."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class ShapedByState(nn.Module):
    """A module that takes the shapes of its own tensors from the state that it loads.

    Attributes:
        adopts_shapes: Whether it does: it was built without what determines its sizes.
    """

    adopts_shapes: bool = False

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Tensor], prefix: str, *rest: Any, **named: Any
    ) -> None:
        if self.adopts_shapes:
            for name, own in dict(self._parameters).items():
                if own is not None and (given := state_dict.get(prefix + name)) is not None:
                    self._parameters[name] = nn.Parameter(torch.empty_like(given), own.requires_grad)
            for name, kept in dict(self._buffers).items():
                if kept is not None and (given := state_dict.get(prefix + name)) is not None:
                    self._buffers[name] = torch.empty_like(given)
        super()._load_from_state_dict(state_dict, prefix, *rest, **named)
