"""Image files opened only where that is safe: regular files, of photos' formats, whose decoding takes bounded time.

A progressive JPEG (ITU-T T.81, annex G) refines the whole picture in each of its scans, and nothing bounds how many
there are: 40 kB can hold a hundred scans of 64 million pixels, a minute of work. Encoders write 6 to 14.
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
"""Scans of a JPEG that are decoded at most; of a large one, as many as encoders write."""
SCANNED_PIXELS = 640_000_000
"""Pixels times scans, beyond which a JPEG is large: about two seconds of work."""
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_SOS, _EOI = 0xDA, 0xD9
# A marker; not a stuffed byte, a restart (RST) or a filling byte, which may stand in the middle of a scan.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])", re.DOTALL)


class Unsafe(OSError):
    """A file that is not decoded; the message says why, without naming it."""


@contextmanager
def opened(source: Path | BinaryIO, formats: Sequence[str]) -> Iterator[ImageFile.ImageFile]:
    """Open an image, its pixels not decoded yet.

    Args:
        source: A path, or a file that is open.
        formats: Pillow's names of those that are read; they start no other program.

    Raises:
        Unsafe: It is a pipe, a device or the like, or a JPEG of too many scans.
        OSError: It is missing, a folder, or in no such format.
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
    """Open a regular file for reading and return its descriptor; what is none is not waited for.

    Raises:
        Unsafe: It is a pipe, a device or a socket.
        OSError: It is missing, a folder, or may not be read.
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
    """Count the scans of a JPEG that a decoder goes through.

    Args:
        content: Of the file.
        most: Where counting ends: the result is one more at most.
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
    """See that a JPEG has no more scans than are decoded; the file is where it was afterwards.

    Raises:
        Unsafe: It has more.
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
        raise Unsafe(f"a JPEG of more than {most} scans, which may be made to keep a reader busy")
