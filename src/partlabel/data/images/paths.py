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
import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from partlabel.core.fixes import Argument, InputError
from partlabel.core.messages import some
from partlabel.data.images.image_folder import Ambiguous, ImageFolder, Match
from partlabel.data.images.listing import is_photo
from partlabel.data.images.written_paths import ADDRESS, parts_of, tails
from partlabel.data.tables.validation import NOT_PLAIN

_IMAGES = Argument("images", placeholder="FOLDER")


def resolve(source: Path, images: Sequence[str], root: Path | None, suffix: str | None = None) -> list[str]:
    """Resolve each path to an image.

    If the image folder is the folder of the annotation file, the user may not have given it: then the third rule is not
    used, and ambiguous and missing paths stay as written.

    Args:
        source: Annotation file, for messages.
        images: Paths as written.
        root: Image folder; None if images are not available.
        suffix: Suffix to append to an id if the folder has no such image, for formats that name images by an id.

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
    folder = ImageFolder(root, named=root not in (source, source.parent))
    found: dict[str, Match] = {}
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
            case Match() as match:
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
        if ADDRESS.match(path):
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
    there = [] if images is None else tails(parts_of(path))
    return next((tail for tail in there if os.path.isfile(f"{images}/{tail}")), path)


def similar_names(root: Path, images: Sequence[str]) -> str:
    """Return a hint for missing images: files of the same name in the folder; empty if there are none.

    Args:
        root: Image folder.
        images: Paths that are not in it.
    """
    folder = ImageFolder(root, named=True)
    there = {path: folder.named_alike(path) for path in images}
    found = [f"{path!r} ({some(map(repr, names), 2)})" for path, names in there.items() if names]
    return f"; it has files of the same name as {some(found, 2)}" if found else ""


def _forget_shared(listed: Sequence[str], found: dict[str, Match], folder: ImageFolder) -> None:
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


def _tell(source: Path, root: Path, found: dict[str, Match], ids: bool) -> None:
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
