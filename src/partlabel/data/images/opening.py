"""Safe opening of image files: only regular files in image formats, with bounded decoding time.

A progressive JPEG (ITU-T T.81, annex G) refines the whole image in each scan, and the number of scans is unlimited:
40 kB can contain a hundred scans of 64 million pixels, a minute of work. Encoders write 6 to 14.
"""

import mmap
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile

MOST_SCANS, USUAL_SCANS = 32, 16
"""Maximum number of JPEG scans that are decoded; for large images, the number that encoders usually write."""
SCANNED_PIXELS = 640_000_000
"""Pixels times scans above which a JPEG is large: about two seconds of work."""
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SOS, _EOI = 0xDA, 0xD9
# A marker; not a stuffed byte, a restart (RST) or a filling byte, which may stand in the middle of a scan.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])", re.DOTALL)


class Unsafe(OSError):
    """A file that is not decoded; the message gives the reason, without the file's name."""


@contextmanager
def opened(source: Path | BinaryIO, formats: Sequence[str]) -> Iterator[ImageFile.ImageFile]:
    """Open an image without decoding its pixels.

    Args:
        source: Path or open file.
        formats: Pillow's names of the accepted formats, none of which starts another program.

    Raises:
        Unsafe: The source is a pipe, a device or similar, or a JPEG with too many scans.
        OSError: The file is missing, a folder, or not in an accepted format.
    """
    if isinstance(source, str | Path):
        with open(regular(Path(source)), "rb") as file, opened(file, formats) as image:
            yield image
        return
    with Image.open(source, formats=tuple(formats)) as image:
        if image.format in ("JPEG", "MPO"):
            _check_scans(source, image.size)
        yield image


def regular(path: Path) -> int:
    """Open a regular file for reading and return its descriptor, without blocking on other files.

    Raises:
        Unsafe: The path is a pipe, a device or a socket.
        OSError: The file is missing, a folder, or not readable.
    """
    _check_kind(path, os.stat(path).st_mode)  # to open a device may do something
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _check_kind(path, os.fstat(descriptor).st_mode)  # it may be another one by now
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _check_kind(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{path} is a folder")
    if not stat.S_ISREG(mode):
        raise Unsafe("a pipe or a device, not a file")


def scans(content: bytes | mmap.mmap, most: int = MOST_SCANS) -> int:
    """Count the scans of a JPEG that a decoder processes.

    Args:
        content: Content of the file.
        most: Limit at which counting stops; the result is at most one more.
    """
    at, found, components, progressive = 2, 0, 0, False
    while found <= most and (marker := _MARKER.search(content, at)):
        kind, at = marker[1][0], marker.end()
        if kind == _EOI:
            break
        segment = content[at : at + 8]
        if kind in _SOF:
            components, progressive = segment[7] if len(segment) > 7 else 0, kind in _PROGRESSIVE
        if kind == _SOS:
            found += 1
            if not progressive and len(segment) > 2 and segment[2] >= components:
                break  # one scan holds all of it
        at += max(int.from_bytes(segment[:2], "big"), 2)
    return found


def _check_scans(file: BinaryIO, size: tuple[int, int]) -> None:
    """Check that a JPEG does not exceed the maximum number of scans; restores the position in the file.

    Raises:
        Unsafe: It does.
    """
    most = max(USUAL_SCANS, min(MOST_SCANS, SCANNED_PIXELS // max(1, size[0] * size[1])))
    before = file.tell()
    try:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = scans(content, most)
    except (OSError, ValueError, AttributeError):  # in memory, or on a drive that cannot be mapped
        file.seek(0)
        found = scans(file.read(), most)
    file.seek(before)
    if found > most:
        raise Unsafe(f"a JPEG of more than {most} scans, which may be made to exhaust the decoder")
