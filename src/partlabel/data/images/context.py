"""Where and when photos were taken: folder, minute and place of each, as keys that photos of one context share.

The folder is that of the path; minute and place are in the EXIF header, so that no pixel is decoded. A key is a hash,
equal for equal contexts in all tables, and `MISSING` where nothing is known.
"""

from collections.abc import Sequence
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import SupportsFloat

import numpy as np
from jaxtyping import Int64
from PIL import ExifTags, Image

from partlabel.core.progress_bar import track
from partlabel.data.images.decode import photo_formats
from partlabel.data.images.opening import opened

KINDS = ("folder", "minute", "place")
MISSING = 0
MINUTE = len("2026:11:30 09:41")
"""Length of an EXIF time without its seconds."""
PLACES = 1_000
"""Places per degree of latitude or longitude: a square of about 100 m."""


def context_keys(images: Sequence[str], root: str | Path | None) -> Int64[np.ndarray, "image kind"]:
    """Return folder, minute and place of each photo as keys.

    Args:
        images: Paths of the photos, relative to `root`.
        root: Image folder; None: only folders are compared.
    """
    return np.array(
        [
            [_key(_folder(image)), *([MISSING] * 2 if root is None else _taken(Path(root) / image))]
            for image in track(images, "Reading time and place", unit="photos")
        ],
        np.int64,
    ).reshape(-1, len(KINDS))


def _folder(image: str) -> str:
    """Return the folder of an image; empty in the image folder itself, which all may share."""
    return image.rpartition("/")[0]


def _taken(path: Path) -> tuple[int, int]:
    """Return the keys of minute and place in the EXIF header of a photo."""
    minute = place = ""
    with suppress(Exception), opened(path, photo_formats()) as photo:  # Pillow's plugins raise all kinds
        exif = photo.getexif()
        with suppress(Exception):
            minute = _minute(exif)
        with suppress(Exception):
            place = _place(exif)
    return _key(minute), _key(place)


def _minute(exif: Image.Exif) -> str:
    """Return the minute of a photo; empty without a time, or for the zeros of a camera whose clock is not set."""
    time = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
    minute = str(time or "")[:MINUTE]
    return minute if len(minute) == MINUTE and not minute.startswith("0000") else ""


def _place(exif: Image.Exif) -> str:
    """Return latitude and longitude, rounded."""
    found = exif.get_ifd(ExifTags.IFD.GPSInfo)
    north = _degrees(found[ExifTags.GPS.GPSLatitude], found[ExifTags.GPS.GPSLatitudeRef] == "S")
    east = _degrees(found[ExifTags.GPS.GPSLongitude], found[ExifTags.GPS.GPSLongitudeRef] == "W")
    return f"{round(north * PLACES)} {round(east * PLACES)}"


def _degrees(parts: Sequence[SupportsFloat], negative: bool) -> float:
    degrees = sum(float(part) / 60**power for power, part in enumerate(parts))
    return -degrees if negative else degrees


def _key(text: str) -> int:
    """Hash a text to a number; `MISSING` if it is empty."""
    return (
        int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)
        if text
        else MISSING
    )
