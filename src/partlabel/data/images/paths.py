r"""Resolution of image paths: from the path in an annotation file to a file of the image folder, for all readers.

Annotations are often written on another machine (`/home/me/photos/a.jpg`, `C:\photos\a.jpg`, a URL), name images
without their suffix, or differ from the folder in upper and lower case or in Unicode form (macOS decomposes letters).
A path that is not in the folder as written is searched for in this order; the first rule that finds exactly one image
decides, and if a rule finds several the table is refused:

1. its longest tail that is a path of the folder: exactly, or else except for Unicode form and case;
2. the same tails without the suffix, if the last name has no image suffix (an id);
3. the whole path as the tail of a path of the folder.

Two different paths are never resolved to the same image.
"""

import os
import posixpath
import re
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import polars as pl

from partlabel.core.fixes import Argument, InputError
from partlabel.core.messages import some
from partlabel.data.images.listing import LeftOut, is_photo, walk
from partlabel.data.tables.validation import NOT_PLAIN

_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")
_DRIVE = re.compile(r"^[A-Za-z]:")
_LOCAL_FILES = "/data/local-files/"
_IMAGES = Argument("images", placeholder="FOLDER")
_MOST_WALKED = 100_000  # images, in a folder that nobody named


class _Match(NamedTuple):
    """Image to which a path was resolved, and how: `tail`, `name` or `stem`."""

    image: str
    how: str


class Ambiguous(NamedTuple):
    """Several images that a path may mean."""

    images: tuple[str, ...]


def resolve(source: Path, images: Sequence[str], root: Path | None, suffix: str | None = None) -> list[str]:
    """Resolve each path to an image.

    If the image folder is the folder of the annotation file, the user may not have given it: then the third rule is not
    used, and ambiguous and missing paths stay as written.

    Args:
        source: Annotation file, for messages.
        images: Paths as written.
        root: Image folder; None if images are not available.
        suffix: For formats that name images by an id: suffix to append if the folder has no such image.

    Returns:
        Paths relative to the folder; a path that was not found is returned as written.

    Raises:
        ValueError: A path may mean several images, or several paths the same one; the message names rows and
            candidates.

    Warns:
        UserWarning: Images were found under another path or name than written.
    """
    listed = plain(images, root)
    if root is None or not root.is_dir():
        return [name if is_photo(name) else f"{name}{suffix}" for name in listed] if suffix else listed
    folder = _Folder(root, named=root not in (source, source.parent))
    found: dict[str, _Match] = {}
    first = {path: row for row, path in reversed([*enumerate(listed)])}
    lacking = {path: row for path, row in reversed(first.items()) if not folder.has(path)}
    for path, row in lacking.items() if lacking and folder.index.of_name else ():
        match folder.find(images[row]):
            case Ambiguous(candidates) if folder.named:
                raise InputError(
                    f"row {row + 1}, image {images[row]!r} may be {' or '.join(map(repr, candidates[:3]))} "
                    f"of {root}; write the path relative to it, or give the folder to which paths are relative with ",
                    _IMAGES,
                )
            case _Match() as match:
                found[path] = match
    _forget_shared(listed, found, folder)
    _tell(source, root, found, ids=suffix is None)
    resolved = [found[path].image if path in found else path for path in listed]
    if suffix:
        resolved = [name if folder.has(name) or is_photo(name) else f"{name}{suffix}" for name in resolved]
    return resolved


def plain(images: Sequence[str], root: Path | None) -> list[str]:
    """Normalise paths and make them relative to the root; those outside are not changed.

    Raises:
        ValueError: A path is empty.
    """
    listed = list(images)
    paths = pl.Series(listed, dtype=pl.String)
    for row in paths.str.contains(NOT_PLAIN).arg_true().to_list():
        path = listed[row]
        if not path.strip():
            raise ValueError(f"row {row + 1} has no image; write its path")
        if _ADDRESS.match(path):
            continue
        if os.path.isabs(path) and root is not None:
            inside = Path(os.path.relpath(path, root.absolute())).as_posix()
            path = path if inside.startswith("../") else inside
        listed[row] = posixpath.normpath(path)
    return listed


def in_folder(images: Path | None, path: str) -> str:
    """Return the longest tail of a path that is a file of the folder; if there is none, the path itself.

    Args:
        images: Image folder; None if images are not available.
        path: Path as written in an annotation.
    """
    tails = [] if images is None else _tails(parts_of(path))
    return next((tail for tail in tails if os.path.isfile(f"{images}/{tail}")), path)


def similar_names(root: Path, images: Sequence[str]) -> str:
    """Return a hint for missing images: files of the same name in the folder; empty if there are none.

    Args:
        root: Image folder.
        images: Paths that are not in it.
    """
    folder = _Folder(root, named=True)
    there = {path: folder.named_alike(path) for path in images}
    found = [f"{path!r} ({some(map(repr, names), 2)})" for path, names in there.items() if names]
    return f"; it has files of the same name as {some(found, 2)}" if found else ""


def parts_of(path: str) -> list[str]:
    """Split a path of any operating system, or a URL, into folders and name.

    The host and the query of a URL are removed; for Label Studio's local files, `d=` is the path.

    Args:
        path: Path as written in an annotation.
    """
    if _LOCAL_FILES in path:
        path = parse_qs(urlsplit(path).query).get("d", [""])[0]
    elif _ADDRESS.match(path):
        is_web = path.lower().startswith("http")
        path = unquote(urlsplit(path).path) if is_web else path.split("://", 1)[1].partition("/")[2]
    path = _DRIVE.sub("", path.replace("\\", "/"))
    return [part for part in path.split("/") if part not in ("", ".", "..")]


class _Folder:
    """An image folder; each subfolder is listed once, and all of them once a path is missing.

    Args:
        root: Image folder.
        named: Whether the user gave this folder as the image folder.
    """

    def __init__(self, root: Path, named: bool) -> None:
        self.root = root
        self.named = named
        self._files: dict[str, frozenset[str]] = {}
        self._index: _Index | None = None

    def has(self, path: str) -> bool:
        """Whether a path is a file of the folder, spelled exactly so."""
        folder, _, name = path.rpartition("/")
        if folder.startswith(("/", "..")) or path.startswith("/"):
            return False
        if folder not in self._files:
            self._files[folder] = _files_in(f"{self.root}/{folder}")
        return name in self._files[folder]

    def find(self, written: str) -> _Match | Ambiguous | None:
        """Return the image that a path means."""
        parts = parts_of(written)
        if not parts:
            return None
        is_id = not is_photo(parts[-1])
        for tail in _tails(parts):
            if self.has(tail):
                return _Match(tail, "tail")
            if (match := _only(tail, self.index.paths[_key(tail)], "name")) is not None:
                return match
            if is_id and (match := _only(tail, self.index.stems[_key(tail)], "stem")) is not None:
                return match
        if not self.named:
            return None
        whole = f"/{_key('/'.join(parts))}"
        below = [path for path in self.named_alike(parts[-1]) if _key(path).endswith(whole)]
        if not below and is_id:
            below = [
                each for each in self.index.of_stem[_key(parts[-1])] if _key(_stem(each)).endswith(whole)
            ]
        return _only("/".join(parts), below, "tail")

    def named_alike(self, path: str) -> list[str]:
        """Return the images of the same name in any subfolder."""
        parts = parts_of(path)
        return self.index.of_name[_key(parts[-1])] if parts else []

    @property
    def index(self) -> "_Index":
        """Index of all images of the folder; of the first ones, if the user did not give the folder."""
        if self._index is None:
            images = walk(self.root, LeftOut(skip_broken=True))
            self._index = _Index(images if self.named else islice(images, _MOST_WALKED))
        return self._index


class _Index:
    """Images by what is the same in spite of case and Unicode form: path, path without suffix, name, stem."""

    def __init__(self, images: Iterator[str]) -> None:
        self.paths: dict[str, list[str]] = defaultdict(list)
        self.stems: dict[str, list[str]] = defaultdict(list)
        self.of_name: dict[str, list[str]] = defaultdict(list)
        self.of_stem: dict[str, list[str]] = defaultdict(list)
        for image in images:
            key, stem = _key(image), _key(_stem(image))
            self.paths[key].append(image)
            self.stems[stem].append(image)
            self.of_name[key.rpartition("/")[2]].append(image)
            self.of_stem[stem.rpartition("/")[2]].append(image)


def _only(written: str, candidates: list[str], how: str) -> _Match | Ambiguous | None:
    """Return the only candidate; of several, the one that differs only in Unicode form."""
    if len(candidates) > 1:
        same = [each for each in candidates if _composed(each) == _composed(written)]
        candidates = same if len(same) == 1 else candidates
    if len(candidates) > 1:
        return Ambiguous(tuple(candidates))
    return _Match(candidates[0], how) if candidates else None


def _forget_shared(listed: Sequence[str], found: dict[str, _Match], folder: _Folder) -> None:
    """Refuse different paths that resolve to the same image; keep them as written if the user gave no image folder."""
    written: dict[str, dict[str, int]] = defaultdict(dict)
    taken = {match.image for match in found.values()}
    for row, path in enumerate(listed):
        image = found[path].image if path in found else path
        if image in taken:
            written[image].setdefault("/".join(parts_of(path)), row)
    for image, rows in written.items():
        if len(rows) < 2:
            continue
        (one, first), (other, second) = list(rows.items())[:2]
        if folder.named:
            raise InputError(
                f"rows {first + 1} and {second + 1} name different images, {one!r} and {other!r}, and "
                f"{folder.root} has only {image!r} for both; give the folder to which their paths are relative with ",
                _IMAGES,
            )
        for path in [path for path, match in found.items() if match.image == image]:
            del found[path]


def _tell(source: Path, root: Path, found: dict[str, _Match], ids: bool) -> None:
    """Warn once per rule about paths that were found under another path."""
    texts = {
        "tail": "written with other folders before them: {} is {}",
        "name": "that differ from the file's name in upper and lower case or in Unicode form: {} is {}",
        "stem": "without their suffix: {} is {}",
    }
    for how, text in texts.items():
        pairs = [(path, match.image) for path, match in found.items() if match.how == how]
        if pairs and (ids or how != "stem"):
            number = "1 image was" if len(pairs) == 1 else f"{len(pairs):,} images were"
            shown = text.format(*map(repr, pairs[0]))
            warnings.warn(f"{source}: {number} found in {root} by paths {shown}", stacklevel=6)


def _files_in(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except OSError:
        return frozenset()


def _tails(parts: list[str]) -> Iterator[str]:
    """Yield the tails of a path, longest first."""
    return ("/".join(parts[start:]) for start in range(len(parts)))


def _stem(image: str) -> str:
    return image[: image.rindex(".")]


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _key(text: str) -> str:
    return _composed(_composed(text).casefold())
