"""Short names of some backbones of timm."""

from typing import NamedTuple


class Named(NamedTuple):
    """A backbone with a short name.

    Attributes:
        model: Name in timm, with the tag of its weights.
        text_tower: Whether the weights were trained together with a text encoder, which is not loaded.
        measured: Whether it was measured on labels in this project (docs/results.md).
    """

    model: str
    text_tower: bool = False
    measured: bool = False


ALIASES = {
    "lite0": Named("tf_efficientnet_lite0", measured=True),
    "lite2": Named("tf_efficientnet_lite2"),
    "convnext-t": Named("convnext_tiny.fb_in22k"),
    "dinov2-s": Named("vit_small_patch14_dinov2.lvd142m"),
    "dinov2-b": Named("vit_base_patch14_dinov2.lvd142m"),
    "dinov3-s": Named("vit_small_patch16_dinov3.lvd1689m"),
    "siglip2-b": Named("vit_base_patch16_siglip_224.v2_webli", text_tower=True),
    "mobileclip-s": Named("fastvit_mci0.apple_mclip", text_tower=True),
}


def full_name(name: str) -> str:
    """Return the name of a backbone for its short name; other names are returned unchanged."""
    return ALIASES[name].model if name in ALIASES else name
