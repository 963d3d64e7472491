"""Image paths as annotations have them, of any operating system or from a URL, in parts and in comparable form."""

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import parse_qs, unquote, urlsplit

ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")
_DRIVE = re.compile(r"^[A-Za-z]:")
_LOCAL_FILES = "/data/local-files/"


def parts_of(path: str) -> list[str]:
    """Split a path of any operating system, or a URL, into folders and name.

    The host and the query of a URL are removed; for Label Studio's local files, `d=` is the path.

    Args:
        path: Path as written in an annotation.
    """
    if _LOCAL_FILES in path:
        path = parse_qs(urlsplit(path).query).get("d", [""])[0]
    elif ADDRESS.match(path):
        is_web = path.lower().startswith("http")
        path = unquote(urlsplit(path).path) if is_web else path.split("://", 1)[1].partition("/")[2]
    path = _DRIVE.sub("", path.replace("\\", "/"))
    return [part for part in path.split("/") if part not in ("", ".", "..")]


def tails(parts: list[str]) -> Iterator[str]:
    """Yield the tails of a path, longest first."""
    return ("/".join(parts[start:]) for start in range(len(parts)))


def without_suffix(image: str) -> str:
    """Return a path without the suffix of its name."""
    return image[: image.rindex(".")]


def composed(text: str) -> str:
    """Return a text with composed letters, as most systems write them."""
    return unicodedata.normalize("NFC", text)


def comparable(text: str) -> str:
    """Return what is the same of texts that differ in case or in Unicode form."""
    return composed(composed(text).casefold())
