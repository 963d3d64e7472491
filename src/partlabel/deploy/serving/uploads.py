"""Safe reading of uploaded images: accepted formats, size limits, and reasons for refusal.

Only formats that Pillow reads itself, without other programs; the size is checked before pixels are decoded.
"""

import warnings
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from partlabel.data.images import decode
from partlabel.data.images.opening import opened

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
DEEP = 4
"""Factor by which a pixel of more than 8 bits per channel counts: it needs that much more memory until it is reduced.
"""


class Shape(NamedTuple):
    """The size of a model's input image.

    Attributes:
        side: Side in pixels.
        interpolation: `nearest`, `bilinear`, `bicubic` or `lanczos`.
    """

    side: int
    interpolation: str


class Refused(Exception):
    """The answer to a request that is not served.

    Attributes:
        status: HTTP status.
        reason: Reason in one sentence.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """Limits of a request, and of the queue.

    Attributes:
        files: Maximum number of files in one request.
        megabytes: Maximum size of a request in megabytes.
        megapixels: Maximum size of an image before it is resized, in megapixels; pixels of more than 8 bits per channel
            count four times.
        seconds: Maximum time for a request to arrive.
        header_seconds: Maximum time for its headers to arrive, from accepting the connection.
        decoding_seconds: Maximum time to decode one image.
        connections: Maximum number of open connections.
        waiting: Maximum number of images accepted and not yet answered; further requests have to retry.
    """

    files: int = 16
    megabytes: float = 32.0
    megapixels: float = 64.0
    seconds: float = 30.0
    header_seconds: float = 10.0
    decoding_seconds: float = 10.0
    connections: int = 256
    waiting: int = 64

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0:
                raise ValueError(f"{name}: {value} admits no request; give more than 0")
        if self.files > self.waiting:
            raise ValueError(
                f"a request of {self.files} files does not fit into a queue of {self.waiting} images: "
                "lower --max-files or raise --max-waiting"
            )


def squash(picture: Image.Image, shape: Shape) -> UInt8[np.ndarray, "side side 3"]:
    """Resize an image as evaluation does, before normalisation."""
    how = Image.Resampling[shape.interpolation.upper()]
    return np.asarray(picture.resize((shape.side, shape.side), how))


def read(file: BinaryIO, shape: Shape, megapixels: float) -> UInt8[np.ndarray, "side side 3"]:
    """Read an uploaded image as the model takes it: as evaluation does, decoding large images at a reduced size.

    Args:
        file: Binary file; its content decides the format, not its name.
        shape: Size of the model's input.
        megapixels: Maximum size in megapixels.

    Raises:
        Refused: 413 if it has too many pixels, 415 if its format is not supported, 422 if it is broken.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with opened(file, FORMATS) as picture:
                _check_size(picture, megapixels)
                return squash(decode.in_rgb(picture, 2 * shape.side), shape)
    except Refused:
        raise
    except Exception as error:  # Pillow's plugins raise all kinds
        empty = file.seek(0, 2) == 0
        raise Refused(_status(error, empty), _sentence(error, empty)) from error


def _check_size(picture: Image.Image, megapixels: float) -> None:
    width, height = picture.size
    deep = picture.mode[0] in "IF"  # I, F, I;16 and the like
    most = megapixels / DEEP if deep else megapixels
    if width * height > most * 1e6:
        bits = " of more than 8 bits" if deep else ""
        raise Refused(413, f"has {width} x {height} pixels{bits}; at most {most:g} million are read")


def _status(error: Exception, empty: bool) -> int:
    if isinstance(error, Image.DecompressionBombError):
        return 413
    return 415 if isinstance(error, UnidentifiedImageError) and not empty else 422


def _sentence(error: Exception, empty: bool) -> str:
    reason = decode.reason(error, empty)
    return f"{reason} in a supported format ({', '.join(FORMATS)})" if reason == "not an image" else reason
