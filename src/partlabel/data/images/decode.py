"""Pixels: images read safely and the way up they were taken, with Pillow alone: a server does it without PyTorch."""

import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from partlabel.data.images import depth
from partlabel.data.images.opening import Unsafe, opened

T = TypeVar("T")

PHOTO_FORMATS = (
    *("AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG"),
    *("JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP"),
)
"""The formats that photos have, by Pillow's names; no other is decoded. HEIF is pillow-heif's."""
HEIC = (".heic", ".heif", ".hif")

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a photo upright, by the orientation that its camera noted (EXIF)."""


@cache
def photo_formats() -> tuple[str, ...]:
    """Return the `PHOTO_FORMATS` that the installed Pillow decodes; HEIF where pillow-heif is installed."""
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    Image.init()
    return tuple(name for name in PHOTO_FORMATS if name in Image.OPEN)


@cache
def photo_suffixes() -> tuple[str, ...]:
    """Return the suffixes of files in these formats, in lower case, the usual ones first."""
    readable = {*photo_formats(), "MPO"}  # which Pillow opens as a JPEG
    found = sorted(suffix for suffix, name in Image.registered_extensions().items() if name in readable)
    usual = [suffix for suffix in (".jpg", ".jpeg", ".png", ".webp") if suffix in found]
    return (*usual, *(suffix for suffix in found if suffix not in usual))


def decode(path: Path, at_least: int | None = None) -> Image.Image:
    """Decode an image to RGB and apply its EXIF orientation.

    Args:
        path: Path of the file. Of several frames the first is used.
        at_least: Number of pixels that a side needs: larger images are reduced to a half, a third, ... of their size,
            but not below it. JPEGs are decoded at an eighth, a quarter or a half. None keeps the size.

    Raises:
        OSError: The file is missing, truncated, too large or no image; the message names it.
    """
    return read(path, lambda image: in_rgb(image, at_least))


def read(path: Path, convert: Callable[[ImageFile.ImageFile], T]) -> T:
    """Open an image, and return what a function makes of it; errors are those of `decode`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with opened(path, photo_formats()) as image:
                return convert(image)
    except Exception as error:  # Pillow's plugins raise all kinds (SyntaxError, struct.error, EOFError)
        raise OSError(f"{path}: {reason(error, _is_empty(path))}") from error


def in_rgb(image: Image.Image, at_least: int | None) -> Image.Image:
    """Convert an opened image as `decode` does; it is copied only after it was reduced."""
    if at_least is not None:
        image.draft("RGB", (at_least, at_least))
    deep_colours = depth.has_deep_colours(image)
    image.load()
    orientation = image.getexif().get(ExifTags.Base.Orientation)
    image = depth.in_eight_bits(image, deep_colours)  # a plain conversion keeps the darkest 256 values
    if image.mode not in ("RGB", "L"):
        image = image.convert("RGB")
    if at_least is not None and (times := min(image.size) // at_least) > 1:
        image = image.reduce(times)
    if orientation in TURNS:
        image = image.transpose(TURNS[orientation])
    return image if image.mode == "RGB" else image.convert("RGB")


def reason(error: Exception, empty: bool = False) -> str:
    """Describe in a few words why an image could not be read.

    Args:
        error: Error of Pillow or of the file system.
        empty: Whether the file is empty.
    """
    if isinstance(error, Unsafe | depth.Unscaled):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "missing"
    if isinstance(error, IsADirectoryError):
        return "a folder, not an image"
    if isinstance(error, UnidentifiedImageError):
        return "an empty file" if empty else "not an image"
    if isinstance(error, Image.DecompressionBombError):
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        return f"more than {most:,} pixels, which may be a decompression bomb"
    if "truncated" in str(error).lower():
        return "truncated"
    return f"cannot be read ({error})"


def _is_empty(path: Path) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) == 0
