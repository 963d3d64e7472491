"""Conversion of images with more than 8 bits per channel to 8 bits, by documented rules.

- 16 bits: divided by 257, so that the maximum becomes 255. An image whose values all fit into 12 bits, as from
  microscopes and X-rays, is divided by 16; one whose values all fit into 8 bits is not scaled.
- 32-bit floats: multiplied by 255 if all are in [0, 1], else refused.

Any conversion other than that of plain 16 bits is recorded in the image's `info` under `SCALED`.
"""

import numpy as np
from jaxtyping import Shaped
from PIL import Image

SCALED = "partlabel:scaled"
FLOAT, TWELVE, EIGHT = "32-bit float", "12 bits in 16", "8 bits in 16"


class Unscaled(ValueError):
    """An image whose values have no defined range."""


def in_eight_bits(image: Image.Image, deep_colours: bool = False) -> Image.Image:
    """Convert an image to 8 bits; an image that has 8 bits is returned unchanged.

    Args:
        image: Loaded image of any mode.
        deep_colours: Whether its file has 16 bits per channel in several channels, of which Pillow keeps the upper 8.

    Raises:
        Unscaled: The image has floats outside [0, 1].
    """
    if image.mode == "F":
        return _noted(_of_floats(np.asarray(image)), FLOAT)
    if image.mode.startswith("I"):
        return _of_integers(np.asarray(image))
    if deep_colours and image.mode not in ("P", "1"):
        colours = np.asarray(image.convert("RGB"))
        if 0 < colours.max() < 16:  # the upper 4 of 12 bits
            return _noted(colours * np.uint8(17), TWELVE)
    return image


def has_deep_colours(image: Image.Image) -> bool:
    """Return whether the file of an image that is not loaded yet has 16 bits per channel in several channels.

    Args:
        image: Image as opened.
    """
    tiles = getattr(image, "tile", None) or [(None, None, None, "")]
    return "16" in str(tiles[0][3]) and image.mode in ("RGB", "RGBA", "LA")


def _of_floats(values: Shaped[np.ndarray, "height width"]) -> Shaped[np.ndarray, "height width"]:
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):  # so that NaN is refused
        raise Unscaled(
            f"{FLOAT} with values from {low:g} to {high:g}, but only 0 to 1 can be read: divide them by the largest "
            "possible value, or save the image with 8 bits"
        )
    return (values * 255).round().astype(np.uint8)


def _of_integers(values: Shaped[np.ndarray, "height width"]) -> Image.Image:
    high = int(values.max(initial=0))
    values = values.clip(0, 65535)
    if high > 4095 or high == 0:
        return Image.fromarray((values // 257).astype(np.uint8))
    if high > 255:
        return _noted((values // 16).astype(np.uint8), TWELVE)
    return _noted(values.astype(np.uint8), EIGHT)


def _noted(values: Shaped[np.ndarray, "..."], what: str) -> Image.Image:
    image = Image.fromarray(values)
    image.info[SCALED] = what
    return image
