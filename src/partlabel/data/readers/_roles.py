"""Roles of a table's columns: image paths, parts, class names, row numbers.

Tools use different names for the same role. A column is identified by its name, and by its cells if its name does not
decide.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from partlabel.core.fixes import InputError, ReaderArgument
from partlabel.core.messages import some
from partlabel.data.images.paths import in_folder
from partlabel.data.readers import _columns
from partlabel.data.readers._codes import WRONG, codes_of
from partlabel.data.tables.part_names import PARTS, part_name

IMAGES = (
    *(
        "image",
        "path",
        "file",
        "filename",
        "imagepath",
        "filepath",
        "imagefile",
        "imagename",
        "imagefilename",
    ),
    *("img", "imgpath", "imgname", "imgfile", "fname", "fpath", "imageindex", "imageid"),
    *("relativepath", "imageurl", "id", "name"),
)
"""Names of image columns, in lower case without spaces, `_` and `-`; the first that a table has is used."""
LABELS = (
    *(
        "labels",
        "label",
        "tags",
        "tag",
        "classes",
        "class",
        "classname",
        "categories",
        "category",
        "labelname",
    ),
    *("findinglabels", "findings", "choice", "choices", "keywords", "targets", "target", "attributeids"),
)
"""Names of columns with class names, in the form of `IMAGES`."""
SPLITS = ("split", "subset", "partition", "part", "set", "phase", "fold", "usage", "dataset")
VALIDATION = ("isvalid", "isval", "isvalidation")
METADATA = (
    *("width", "height", "channels", "depth", "size", "area", "url", "source", "license", "date", "datetime"),
    *("timestamp", "patientid", "patient", "md5", "sha256", "hash", "id", "index", "idx", "rownumber"),
    *(
        *SPLITS,
        *VALIDATION,
        "istrain",
        "istest",
        "annotator",
        "annotationid",
        "createdat",
        "updatedat",
        "leadtime",
    ),
    *(
        "difficult",
        "truncated",
        "occluded",
        "iscrowd",
        "isoccluded",
        "istruncated",
        "isgroupof",
        "isdepiction",
    ),
    *("isinside", "pose", "verified", "confidence", "score", "x1", "y1", "x2", "y2", "xcenter", "ycenter"),
    *("xmin", "ymin", "xmax", "ymax", "bbox", "lat", "lon", "latitude", "longitude"),
)
"""Names of columns that are rarely classes, in the form of `IMAGES`."""
NUMBERED = re.compile(r"(label|tag|class|category|finding|keyword)[ _-]?\d+", re.IGNORECASE)
_ROW_NUMBER = re.compile(r"|Unnamed: ?\d+|level_0|index|idx|id|row_?number", re.IGNORECASE)
_SUFFIX = re.compile(r"\.(jpe?g|jpe|jfif|png|webp|bmp|gif|tiff?|avif|heic)$", re.IGNORECASE)
_ENDINGS = (".jpg", ".jpeg", ".png", ".JPG", ".tif", ".webp")
MOST_COLUMNS = 200  # columns that are looked at for file names
_WEAK = ("id", "name")


@lru_cache(1 << 16)
def plain(name: str) -> str:
    """Normalise a column name: remove spaces, `_`, `-`, `.` and `/`, and convert it to lower case."""
    return re.sub(r"[\s_\-./]+", "", name).lower()


def label_columns(names: Sequence[str]) -> list[int]:
    """Return the columns that may hold class names, by name: `labels`, `tags`, ..., or `label1`, `label2`, ...."""
    usual = [at for at, name in enumerate(names) if plain(name) in LABELS]
    numbered = [at for at, name in enumerate(names) if NUMBERED.fullmatch(name)]
    return usual + (numbered if len(numbered) > 1 else [])


def word_columns(path: Path, names: Sequence[str], separator: str | None) -> list[int]:
    """Return the columns of `label_columns` with cells other than 1, 0 and blank in one of their spellings."""
    asked = label_columns(names)
    has_words = np.zeros(len(asked), bool)
    for block in _columns.blocks(path, asked, names, separator) if asked else ():
        has_words |= (codes_of(block) == WRONG).any(axis=1)
    return [at for at, is_text in zip(asked, has_words.tolist(), strict=True) if is_text]


def names_columns(path: Path, names: Sequence[str], separator: str | None) -> list[int]:
    """Find the columns of class names if the user did not name them.

    Raises:
        ValueError: There is none, or several that are not numbered; the message gives the option that names them.
    """
    if "labels" in names:
        return [names.index("labels")]
    found = word_columns(path, names, separator)
    if not found:
        found = label_columns(names)
    numbered = all(NUMBERED.fullmatch(names[at]) for at in found)
    if len(found) == 1 or (found and numbered):
        return found
    if found:
        several = " and ".join(repr(names[at]) for at in found)
        raise InputError(
            f"{path}: both {several} may hold the class names; select one with ",
            ReaderArgument("labels_column", names[found[0]], format="long_csv"),
        )
    raise InputError(
        f"{path}: no column is named labels, label, tags or class; there are: {some(map(repr, names))}. Name the "
        "column of class names with ",
        ReaderArgument("labels_column", placeholder="NAME"),
    )


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


class Understood(NamedTuple):
    """How a reader interpreted the columns of a table, to be shown to users.

    Attributes:
        image: Column of image paths.
        split: Column of parts, if there is one.
        left_out: Columns that were not used.
        labels: Columns of class names, if there are any.
        texts: Columns of texts about the photos.
    """

    image: str
    split: str | None
    left_out: list[str]
    labels: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


class Split(NamedTuple):
    """Column that assigns images to parts.

    Attributes:
        at: Position of the column.
        is_flag: Whether its cells are true for validation images and false for training images.
    """

    at: int
    is_flag: bool = False

    def part(self, cell: str) -> str:
        """Return the part that a cell names."""
        if not self.is_flag:
            return cell
        return "val" if cell.strip().lower() in ("1", "1.0", "true") else "train"


def split_column(
    path: Path, names: Sequence[str], wanted: str | None = None, separator: str | None = None
) -> Split | None:
    """Find the column of parts: the requested one, `split`, one with only names of parts, or `is_valid`."""
    if wanted is not None:
        return Split(_columns.column_at(path, names, wanted))
    if "split" in names:
        return Split(names.index("split"))
    asked = [at for at, name in enumerate(names) if plain(name) in (*SPLITS, *VALIDATION)]
    for at, cells in zip(asked, _columns.head(path, asked, names, separator) if asked else (), strict=True):
        if plain(names[at]) in VALIDATION and set(map(str.lower, cells)) <= {"true", "false", "0", "1"}:
            return Split(at, is_flag=True)
        if cells and all(part_name(cell) in PARTS for cell in cells):
            return Split(at)
    return None


def row_numbers(
    path: Path, among: Sequence[int], names: Sequence[str], separator: str | None = None
) -> list[int]:
    """Find columns that only number the rows, as pandas writes them: `Unnamed: 0`, `index`, or without a name.

    They contain each whole number at most once; columns without a name may also be empty, as in spreadsheets. In tables
    of few rows only columns without a name are certain, and a single row must have number 0, where pandas starts.
    """
    asked = [at for at in among if _ROW_NUMBER.fullmatch(names[at])]
    if not asked:
        return []
    found = []
    for at, column in zip(asked, _columns.columns(path, asked, names, separator), strict=True):
        if not any(cell.strip() for cell in _columns.strings(column)):
            found += [at] if _is_unnamed(names[at]) else []
            continue
        cells = [cell.strip().removesuffix(".0") for cell in _columns.strings(column)]
        whole = all(cell.isascii() and cell.isdigit() for cell in cells)
        few = _is_unnamed(names[at]) and (
            len(cells) == 2 or cells == ["0"]
        )  # elsewhere, 0 and 1 may be labels
        enough = len(cells) > 2 or few
        if whole and enough and len(set(cells)) == len(cells):
            found.append(at)
    return found


def _is_unnamed(name: str) -> bool:
    """Whether a column has no name; pandas gives it one."""
    return not name or name.startswith("Unnamed")


def is_image(images: Path, cell: str) -> bool:
    """Whether a cell names a file of the image folder, possibly by a path of another machine or without its suffix."""
    if not cell or "\0" in cell:
        return False
    found = images / in_folder(images, cell)
    return found.is_file() or any(found.with_name(f"{found.name}{end}").is_file() for end in _ENDINGS)


def _are_files(path: Path, at: int, names: Sequence[str], separator: str | None, images: Path) -> bool:
    """Whether at least one of the first cells of a column is a file of the image folder."""
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
    said = ["; if the separator is another, give it with ", ReaderArgument("separator", mark, format=long)]
    raise InputError(
        f"{path}: no column has the image paths; name it image, path, file or filename, or give its name with ",
        ReaderArgument("image_column", placeholder="NAME"),
        f". There are: {some(map(repr, names))}",
        *(said if len(names) == 1 else []),
    )


def _separator_in(line: str) -> str:
    """Return the character that is most likely the separator of a line."""
    return max((";", "\t", "|", " "), key=line.count)
