"""Photos for the report: small JPEGs as `data:` addresses, plain or with an attention map laid over them."""

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
DIM = np.array([0.16, 0.17, 0.24], dtype=np.float32)  # the night-blue that unattended places sink into


def read_small(path: Path, size: int) -> Image.Image | None:
    """An image turned upright, its longer side at most `size` pixels; None if it cannot be read.

    JPEGs are decoded at about the size asked for (Pillow's draft mode), so that large photos cost little.
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
    """An image as JPEG, without anything that its file said besides."""
    file = BytesIO()
    image.save(file, "JPEG", quality=quality, optimize=True)
    return file.getvalue()


class Picture(NamedTuple):
    """A picture inside a page; with its size, so that a browser leaves room for it and links land where they point.

    Attributes:
        address: The JPEG as a `data:` address.
        width: In pixels.
        height: In pixels.
    """

    address: str
    width: int
    height: int


def encode(image: Image.Image, quality: int = 80) -> Picture:
    """An image as a picture inside a page."""
    return Picture("data:image/jpeg;base64," + b64encode(jpeg(image, quality)).decode(), *image.size)


def thumbnail(path: Path | None, size: int = 160) -> Picture | None:
    """An image file as a small JPEG; None if there is none or it cannot be read."""
    image = None if path is None else read_small(path, size)
    return None if image is None else encode(image)


def spotlight(path: Path | None, attention: Float[np.ndarray, "h w"], size: int = 160) -> Picture | None:
    """An image file lit where a class looks; None if there is none or it cannot be read."""
    image = None if path is None else read_small(path, size)
    return None if image is None else encode(lit(image, attention))


def lit(image: Image.Image, attention: Float[np.ndarray, "h w"]) -> Image.Image:
    """An image in full colour at a map's maximum, towards night where the map is near zero."""
    light = _light(attention, image.size)[..., None]
    photo = np.asarray(image, dtype=np.float32) / 255
    night = 0.42 * photo.mean(2, keepdims=True) + 0.5 * DIM
    lit = light * photo + (1 - light) * night
    return Image.fromarray((255 * lit.clip(0, 1)).astype(np.uint8))


def _light(attention: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The map as shares of its maximum, at the size of the image; all dark if it has none."""
    attention = np.nan_to_num(attention.astype(np.float32)).clip(min=0)
    share = attention / max(float(attention.max(initial=0)), 1e-12)
    return np.asarray(Image.fromarray(share).resize(size, Image.Resampling.BICUBIC)).clip(0, 1)
