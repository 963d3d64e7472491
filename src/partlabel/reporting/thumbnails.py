"""Images for pages: small JPEGs as `data:` URLs, plain or with an attention map."""

from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageOps

from partlabel.data.images.decode import photo_formats
from partlabel.data.images.opening import opened

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
DIM = np.array([0.16, 0.17, 0.24], dtype=np.float32)  # dark blue of places without attention


def read_small(path: Path, size: int) -> Image.Image | None:
    """Read an image, apply its EXIF orientation and reduce it; None if it cannot be read.

    JPEGs are decoded near the requested size (Pillow's draft mode), so that large files are cheap.

    Args:
        path: Image file.
        size: Maximum length of the longer side in pixels.
    """
    try:
        with opened(path, photo_formats()) as image:
            image.draft("RGB", (size, size))
            upright = ImageOps.exif_transpose(image).convert("RGB")
    except UNREADABLE:
        return None
    upright.thumbnail((size, size))
    return upright


def jpeg(image: Image.Image, quality: int = 80) -> bytes:
    """Encode an image as JPEG, without metadata."""
    file = BytesIO()
    image.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


class Picture(NamedTuple):
    """An image inside a page, with its size, so that a browser reserves its space and links scroll to the right place.

    Attributes:
        address: JPEG as a `data:` URL.
        width: Width in pixels.
        height: Height in pixels.
    """

    address: str
    width: int
    height: int


def encode(image: Image.Image, quality: int = 80) -> Picture:
    """Encode an image for a page."""
    return Picture("data:image/jpeg;base64," + b64encode(jpeg(image, quality)).decode(), *image.size)


def thumbnail(path: Path | None, size: int = 160) -> Picture | None:
    """Encode an image file as a small JPEG; None if there is none or it cannot be read."""
    image = None if path is None else read_small(path, size)
    return None if image is None else encode(image)


def spotlight(path: Path | None, attention: Float[np.ndarray, "h w"], size: int = 160) -> Picture | None:
    """Encode an image file with an attention map; None if there is none or it cannot be read."""
    image = None if path is None else read_small(path, size)
    return None if image is None else encode(lit(image, attention))


def lit(image: Image.Image, attention: Float[np.ndarray, "h w"]) -> Image.Image:
    """Highlight an image: full colour at the map's maximum, dark where the map is near zero."""
    light = _light(attention, image.size)[..., None]
    pixels = np.asarray(image, dtype=np.float32) / 255
    dark = 0.42 * pixels.mean(2, keepdims=True) + 0.5 * DIM
    blended = light * pixels + (1 - light) * dark
    return Image.fromarray((255 * blended.clip(0, 1)).astype(np.uint8))


def _light(attention: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale a map to [0, 1] and to the size of the image; zeros if it has no positive value."""
    attention = np.nan_to_num(attention.astype(np.float32)).clip(min=0)
    share = attention / max(float(attention.max(initial=0)), 1e-12)
    return np.asarray(Image.fromarray(share).resize(size, Image.Resampling.BICUBIC)).clip(0, 1)
