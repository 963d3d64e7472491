"""What every head keeps."""

import inspect
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from partlabel.nn.classes import Classes
from partlabel.nn.heads import Head

CHANNELS, CLASSES = 6, 5
SMALL = {"dim": 8, "attention_dim": 7, "output_dim": 9}


def build_head(kind: type[Head], **options: Any) -> Head:
    """Build a small head in eval mode, the same at every call, with no parameter that is zero throughout.

    Args:
        kind: The head's class.
        **options: Options of its constructor.
    """
    torch.manual_seed(0)
    names = tuple(f"class {n}" for n in range(CLASSES))
    classes = Classes(names, torch.randn(CLASSES, 4), torch.rand(CLASSES, CLASSES))
    small = {k: v for k, v in SMALL.items() if k in inspect.signature(kind).parameters}
    head = kind(CHANNELS, classes, **(small | options))
    for parameter in head.parameters():
        if (parameter == 0).all():
            parameter.data.normal_()
    return head.eval()


def example_maps(images: int = 3, size: int = 4) -> Float[Tensor, "image channel size size"]:
    """Draw feature maps, the same at every call."""
    return torch.randn(images, CHANNELS, size, size, generator=torch.Generator().manual_seed(1))


def check_outputs_have_the_shapes_that_the_head_declares(kind: type[Head]) -> None:
    """Check that logits are finite, and that features and attention exist if and only if the head declares them."""
    head = build_head(kind)
    out = head(example_maps())
    assert out.logits.shape == (3, CLASSES) and out.logits.isfinite().all()
    assert (out.features is not None) == bool(head.feature_dim)
    if out.features is not None:
        assert out.features.shape == (3, CLASSES, head.feature_dim)
    assert (out.image is not None) == bool(head.image_dim)
    if out.image is not None:
        assert out.image.shape == (3, head.image_dim)
    if out.attention is not None:
        torch.testing.assert_close(out.attention.sum((2, 3)), torch.ones(3, CLASSES))


def check_an_image_has_the_same_logits_alone(kind: type[Head]) -> None:
    """Check that in eval mode the logits of an image do not depend on the other images."""
    head, maps = build_head(kind), example_maps()
    torch.testing.assert_close(head(maps[1:2]).logits, head(maps).logits[1:2], rtol=1e-4, atol=1e-5)


def check_it_trains_on_any_batch_and_any_map(kind: type[Head]) -> None:
    """Check that every parameter has a finite gradient, for one image or several, and maps of several sizes."""
    for images in (1, 4):
        head = build_head(kind).train()
        for size in (2, 3):
            head(example_maps(images, size)).logits.square().sum().backward()
        for parameter, value in head.named_parameters():
            if value.requires_grad:
                assert value.grad is not None and value.grad.isfinite().all(), parameter


def check_gradients_are_finite_where_a_rectified_map_is_zero(kind: type[Head]) -> None:
    """Check that the gradient that reaches the backbone is finite at zeros of the map."""
    head, maps = build_head(kind).train(), example_maps().relu().requires_grad_()
    head(maps).logits.square().sum().backward()
    assert (maps == 0).any() and maps.grad is not None and maps.grad.isfinite().all()


def check_class_maps_are_mirrored_with_the_image(kind: type[Head]) -> None:
    """Check that class maps are [image, class, height, width] and mirrored with the map, or refused."""
    head, maps = build_head(kind), example_maps(size=3)
    if not head.has_class_maps:
        import pytest

        with pytest.raises(NotImplementedError, match=f"the head {type(head).__name__} gives no class maps"):
            head.class_maps(maps)
        return
    found = head.class_maps(maps)
    assert found.shape == (3, CLASSES, 3, 3)
    torch.testing.assert_close(head.class_maps(maps.flip(3)).flip(3), found)


HEAD_CHECKS = (
    check_outputs_have_the_shapes_that_the_head_declares,
    check_an_image_has_the_same_logits_alone,
    check_it_trains_on_any_batch_and_any_map,
    check_gradients_are_finite_where_a_rectified_map_is_zero,
    check_class_maps_are_mirrored_with_the_image,
)
"""All checks of a head."""
