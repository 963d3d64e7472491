"""Power normalisation: the signed power of features, which dampens bursts (Perronnin et al., ECCV 2010)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def signed_power(features: Float[Tensor, "*shape"], power: float) -> Float[Tensor, "*shape"]:
    """Compute `sign(x) |x|^power`.

    Its unbounded slope at 0 is replaced by 0, because most of a rectified feature map is zero.
    """
    return features if power == 1 else _SignedPower.apply(features, power)[0]


def root(features: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Take the signed square root."""
    return signed_power(features, 0.5)


class _SignedPower(torch.autograd.Function):
    """Use `|x|^(p - 1)` in both directions; plain autograd would keep six maps, and square roots of zeros are slow."""

    @staticmethod
    def forward(features: Tensor, power: float) -> tuple[Tensor, Tensor]:
        scale = features.abs().pow_(power - 1).nan_to_num_(nan=torch.nan, posinf=0.0)
        return features * scale, scale

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: tuple[Tensor, Tensor]) -> None:
        ctx.power = inputs[1]
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (scale,) = ctx.saved_tensors
        return scale.mul(gradients[0]).mul_(ctx.power), None
