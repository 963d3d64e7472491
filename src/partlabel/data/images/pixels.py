"""Pixels of image files as arrays: a JPEG by simplejpeg where that is installed, all else by Pillow (`decode.py`).

Both are libjpeg-turbo, and the pixels are equal bit for bit, which is checked once in every process; Pillow copies them
twice more (docs/images.md has figures). Pillow still opens every file, with its checks, and decodes JPEGs that are
rotated, in CMYK, damaged, or to be reduced to less than an eighth.
"""

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageFile

from partlabel.data.images.decode import TURNS, in_rgb, read

Decoder = Callable[..., UInt8[np.ndarray, "height width 3"]]
SCALES = (8, 4, 2, 1)
"""Divisors of the size at which a JPEG is decoded."""


def pixels(path: Path, at_least: int | None = None) -> UInt8[np.ndarray, "height width 3"]:
    """Decode an image as `decode` does, to an array; arguments and errors are the same."""

    def convert(image: ImageFile.ImageFile) -> UInt8[np.ndarray, "height width 3"]:
        found = _by_simplejpeg(image, at_least)
        return np.array(in_rgb(image, at_least)) if found is None else found

    return read(path, convert)


def _by_simplejpeg(
    image: ImageFile.ImageFile, at_least: int | None
) -> UInt8[np.ndarray, "height width 3"] | None:
    """Decode an opened image if it is a plain and undamaged JPEG, and simplejpeg is there; else return None."""
    decoder = simplejpeg_decoder()
    if decoder is None or image.format not in ("JPEG", "MPO") or image.mode not in ("RGB", "L"):
        return None
    if image.getexif().get(ExifTags.Base.Orientation) in TURNS:
        return None
    times = (
        1 if at_least is None else next((each for each in SCALES if min(image.size) // each >= at_least), 1)
    )
    width, height = (-(-side // times) for side in image.size)
    if at_least is not None and min(width, height) // at_least > 1:  # less than an eighth
        return None
    assert image.fp is not None
    image.fp.seek(0)
    try:
        found = _decoded(decoder, image.fp.read(), height, width, times)
    except ValueError:  # it is damaged, and Pillow tells whether it can still be read
        return None
    return found if found.shape == (height, width, 3) else None


def _decoded(
    decoder: Decoder, content: bytes, height: int, width: int, times: int
) -> UInt8[np.ndarray, "height width 3"]:
    """Decode the content of a JPEG file to the smallest size that is at least the given one."""
    return decoder(content, "RGB", **({"min_height": height, "min_width": width} if times > 1 else {}))


@cache
def simplejpeg_decoder() -> Decoder | None:
    """Return simplejpeg's decoder if it is installed and gives the pixels of this Pillow; else None."""
    try:
        from simplejpeg import decode_jpeg
    except ImportError:
        return None
    random, file = np.random.default_rng(0), io.BytesIO()
    picture = random.integers(0, 256, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    Image.fromarray(picture).save(file, "JPEG", quality=85)
    for times in SCALES:
        with Image.open(io.BytesIO(file.getvalue())) as image:
            image.draft("RGB", (64 // times, 48 // times))
            expected = np.asarray(image)
        found = _decoded(decode_jpeg, file.getvalue(), 48 // times, 64 // times, times)
        if not np.array_equal(found, expected):
            return None
    return decode_jpeg
