"""Kernel densities of stored images on the sphere: how strongly those that resemble an image have a property.

A sharp kernel is so small far from an image that its values are kept relative to the nearest stored image: every row of
values has an arbitrary factor, which cancels in a ratio of two densities.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor
from torch.nn.functional import normalize

RAISED = 75.0
"""Log-weight of the nearest neighbour in a kernel density.

Single precision then has room for the farthest neighbour, at e^-100 of it for a sharpness of 50, and for the sum over
any number of neighbours that fits memory.
"""
STORED_AT_ONCE = 16_384
"""Number of stored images that are compared at a time; bounds the memory of a comparison."""


def kernel(
    features: Float[Tensor, "batch feature"],
    stored: Float[Tensor, "slot feature"],
    sharpness: float,
    itself: Bool[Tensor, "batch slot"] | None = None,
) -> Float[Tensor, "batch slot"]:
    """Compute `exp(s cos(x, k))` for every stored unit vector k, up to a factor of each x.

    Args:
        features: One feature per image.
        stored: Unit vectors.
        sharpness: s; the larger, the more the nearest neighbours dominate.
        itself: Whether a slot holds the image itself, which then has the weight 0; None for new images.
    """
    cosine = _cosine(features, stored, itself)
    return _raised(cosine, cosine.amax(1, keepdim=True), sharpness, itself)


def kernel_sums(
    features: Float[Tensor, "batch feature"],
    stored: Float[Tensor, "slot feature"],
    sharpness: float,
    share: Callable[[slice], Float[Tensor, "part column"]],
    itself: Callable[[slice], Bool[Tensor, "batch part"] | None],
) -> Float[Tensor, "batch column"]:
    """Sum `kernel` over all stored images, each multiplied by its shares, `STORED_AT_ONCE` stored images at a time.

    Args:
        features: One feature per image.
        stored: Unit vectors, at least one, in single or half precision.
        sharpness: Sharpness of the kernel.
        share: Function that returns the shares of a part of the stored images.
        itself: Function that returns `itself` of `kernel` for a part of the stored images.
    """
    first, *others = [slice(at, at + STORED_AT_ONCE) for at in range(0, len(stored), STORED_AT_ONCE)]
    cosine = _cosine(features, stored[first], itself(first))
    highest = cosine.amax(1, keepdim=True)
    sums = _raised(cosine, highest, sharpness, itself(first)) @ share(first)
    for part in others:
        cosine = _cosine(features, stored[part], itself(part))
        before, highest = highest, torch.maximum(highest, cosine.amax(1, keepdim=True))
        near = _raised(cosine, highest, sharpness, itself(part))
        sums = sums * (sharpness * (before - highest)).exp() + near @ share(part)
    return sums


def _cosine(features: Tensor, stored: Tensor, itself: Tensor | None) -> Float[Tensor, "batch slot"]:
    """Compute cosines; -1 for the image itself."""
    cosine = normalize(features.float(), dim=-1) @ stored.float().T
    return cosine if itself is None else cosine.masked_fill(itself, -1.0)


def _raised(
    cosine: Tensor, highest: Tensor, sharpness: float, itself: Tensor | None
) -> Float[Tensor, "batch slot"]:
    # An image that is remembered itself is its own nearest by far: the others must not vanish beside it.
    near = (sharpness * (cosine - highest) + RAISED).exp()
    return near if itself is None else near.masked_fill(itself, 0.0)


def log_density(
    sums: Float[Tensor, "batch class"], total: Shaped[Tensor, "*by class"]
) -> Float[Tensor, "batch class"]:
    """Compute the logarithm of a kernel density from `kernel_sums` of a class and the sum of its shares."""
    return (sums / total).clamp(min=torch.finfo(torch.float32).tiny).log()
