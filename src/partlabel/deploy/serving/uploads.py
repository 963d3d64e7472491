"""Pictures that strangers send: what is read, how much of it, and what is answered instead.

Only formats that Pillow reads by itself, without other programs; the size is looked at before the pixels are.
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
"""How often a pixel counts that has more than 8 bits a value: it takes that much more memory until it has 8."""


class Shape(NamedTuple):
    """What a picture is made into.

    Attributes:
        side: In pixels.
        interpolation: `nearest`, `bilinear`, `bicubic` or `lanczos`.
    """

    side: int
    interpolation: str


class Refused(Exception):
    """What is answered to a request that is not served.

    Attributes:
        status: Of HTTP.
        reason: In a sentence.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """What one request may ask for, and how many may wait.

    Attributes:
        files: In one request.
        megabytes: All of a request.
        megapixels: One picture, before it is made smaller; pixels with more than 8 bits a value count four times.
        seconds: That a request may take to arrive.
        header_seconds: That its headers may take, from accepting the connection.
        decoding_seconds: That one picture may take to be decoded.
        connections: Open at once.
        waiting: Pictures taken in and not answered yet; requests beyond that are told to come back.
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
                raise ValueError(f"{name}: {value} lets nothing in; give more than 0")
        if self.files > self.waiting:
            raise ValueError(
                f"{self.files} files in one request could never be taken in where {self.waiting} may wait: "
                "lower --max-files or raise --max-waiting"
            )


def squash(picture: Image.Image, shape: Shape) -> UInt8[np.ndarray, "side side 3"]:
    """Return a picture as evaluation sees it, before it is normalised."""
    how = Image.Resampling[shape.interpolation.upper()]
    return np.asarray(picture.resize((shape.side, shape.side), how))


def read(file: BinaryIO, shape: Shape, megapixels: float) -> UInt8[np.ndarray, "side side 3"]:
    """An uploaded picture as the model takes it: as evaluation does, from a reduced size where it is large.

    Args:
        file: Of any name; what is in it counts.
        shape: It is made into.
        megapixels: It may have at most.

    Raises:
        Refused: 413 if it has too many pixels, 415 if it is in none of the formats, 422 if it is broken.
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
    deep = picture.mode[0] in "IF"  # I, F, I;16 and its kin
    most = megapixels / DEEP if deep else megapixels
    if width * height > most * 1e6:
        bits = " of more than 8 bits" if deep else ""
        raise Refused(413, f"has {width} x {height} pixels{bits}; at most {most:g} million are read")


def _status(error: Exception, empty: bool) -> int:
    if isinstance(error, Image.DecompressionBombError):
        return 413
    return 415 if isinstance(error, UnidentifiedImageError) and not empty else 422


def _sentence(error: Exception, empty: bool) -> str:
    said = decode.reason(error, empty)
    return f"{said} in a format that is read here ({', '.join(FORMATS)})" if said == "not an image" else said
