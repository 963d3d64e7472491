"""The column of image paths: by its name, by the files that its cells name, or by their suffix."""

import re
from collections.abc import Sequence
from pathlib import Path

from partlabel.core.fixes import InputError, ReaderArgument
from partlabel.core.messages import some
from partlabel.data.images.paths import in_folder
from partlabel.data.readers import _columns
from partlabel.data.readers._roles import IMAGES, label_columns, plain

_ENDINGS = (".jpg", ".jpeg", ".png", ".JPG", ".tif", ".webp")
MOST_COLUMNS = 200  # columns that are looked at for file names
_WEAK = ("id", "name")
_SUFFIX = re.compile(r"\.(jpe?g|jpe|jfif|png|webp|bmp|gif|tiff?|avif|heic)$", re.IGNORECASE)


def image_column(
    path: Path,
    names: Sequence[str],
    wanted: str | None = None,
    separator: str | None = None,
    images: Path | None = None,
) -> int:
    """Find the column of image paths.

    It is the requested column; else the one with a usual name (`IMAGES`). If several have one, none has, or its cells
    are not files, it is the column whose cells are files of the image folder; else the one whose cells end in an image
    suffix.

    Args:
        path: Table file.
        names: Names of its columns.
        wanted: Name of the requested column.
        separator: Separator between the cells of the file.
        images: Image folder; the table's folder if None.

    Raises:
        ValueError: There is no such column, or there are several.
    """
    if wanted is not None:
        return _columns.column_at(path, names, wanted)
    usual = sorted((IMAGES.index(plain(name)), at) for at, name in enumerate(names) if plain(name) in IMAGES)
    if not usual:
        _refuse_no_header(path, names)
    found = [at for _, at in usual if plain(names[at]) not in _WEAK] or [at for _, at in usual]
    certain = len(found) == 1 and plain(names[found[0]]) not in _WEAK
    if "image" in names:
        found, certain = [names.index("image")], True
    if certain and (images is None or _are_files(path, found[0], names, separator, images)):
        return found[0]
    by_files = _with_files(path, names, separator, images or path.parent, [at for _, at in usual])
    if by_files is not None:
        return by_files
    if len(found) == 1:
        return found[0]
    if found:
        several = " and ".join(repr(names[at]) for at in found)
        raise InputError(
            f"{path}: both {several} may hold the image paths; select one with ",
            ReaderArgument("image_column", names[found[0]]),
        )
    return _by_suffix(path, names, separator)


def is_image(images: Path, cell: str) -> bool:
    """Return whether a cell names a file of the image folder; other folders and a missing suffix are allowed."""
    if not cell or "\0" in cell:
        return False
    found = images / in_folder(images, cell)
    return found.is_file() or any(found.with_name(f"{found.name}{end}").is_file() for end in _ENDINGS)


def _are_files(path: Path, at: int, names: Sequence[str], separator: str | None, images: Path) -> bool:
    """Return whether at least one of the first cells of a column is a file of the image folder."""
    return any(is_image(images, cell) for cell in _columns.head(path, [at], names, separator)[0])


def _refuse_no_header(path: Path, names: Sequence[str]) -> None:
    """Refuse a table whose first line has a file name, and therefore no column names."""
    files = [name for name in names if _SUFFIX.search(name)]
    if files:
        raise InputError(
            f"{path}: the first line has {files[0]!r} where the name of a column is expected; write a line with the "
            "names of the columns before it, such as image,labels"
        )


def _with_files(
    path: Path, names: Sequence[str], separator: str | None, images: Path, usual: Sequence[int]
) -> int | None:
    """Return the column whose first cells are all image files, usual names first; None if there is none."""
    looked = [*usual, *(at for at in range(min(len(names), MOST_COLUMNS)) if at not in usual)]
    nested = _columns.nested(path)
    looked = [at for at in looked if names[at] not in nested]
    for at, cells in zip(looked, _columns.head(path, looked, names, separator), strict=True):
        if cells and all(is_image(images, cell) for cell in cells):
            return at
    return None


def _by_suffix(path: Path, names: Sequence[str], separator: str | None) -> int:
    """Return the only column whose first cells all end in an image suffix."""
    nested = _columns.nested(path)
    looked = [at for at in range(min(len(names), MOST_COLUMNS)) if names[at] not in nested]
    heads = _columns.head(path, looked, names, separator)
    found = [at for at, cells in zip(looked, heads, strict=True) if cells and all(map(_SUFFIX.search, cells))]
    if len(found) == 1 and len(names) > 1:
        return found[0]
    mark = _separator_in(names[0])
    long = "long_csv" if label_columns([name.strip() for name in names[0].split(mark)]) else None
    hint = ["; if the separator is another, give it with ", ReaderArgument("separator", mark, format=long)]
    raise InputError(
        f"{path}: no column has the image paths; name it image, path, file or filename, or give its name with ",
        ReaderArgument("image_column", placeholder="NAME"),
        f". There are: {some(map(repr, names))}",
        *(hint if len(names) == 1 else []),
    )


def _separator_in(line: str) -> str:
    """Return the character that is most likely the separator of a line."""
    return max((";", "\t", "|", " "), key=line.count)
