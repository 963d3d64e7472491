"""What the columns of a table are: image paths, parts, class names, a row number; and which reader that makes it for.

Tools call the same thing by different names. A column is known by its name, and by its cells where names do not tell.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from partlabel.core.fixes import Argument, InputError, ReaderArgument
from partlabel.core.messages import some
from partlabel.data.images.paths import in_folder
from partlabel.data.readers import _columns
from partlabel.data.readers._cells import is_null
from partlabel.data.readers._codes import WRONG, codes
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
"""Names of image columns, without spaces, `_` and `-` and in lower case; the first that a table has is taken."""
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
"""Names of columns that hold class names, written as `IMAGES`."""
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
"""Names of columns that are rarely classes, written as `IMAGES`."""
_NUMBERED = re.compile(r"(label|tag|class|category|finding|keyword)[ _-]?\d+", re.IGNORECASE)
_ROW_NUMBER = re.compile(r"|Unnamed: ?\d+|level_0|index|idx|id|row_?number", re.IGNORECASE)
_SUFFIX = re.compile(r"\.(jpe?g|jpe|jfif|png|webp|bmp|gif|tiff?|avif|heic)$", re.IGNORECASE)
_ENDINGS = (".jpg", ".jpeg", ".png", ".JPG", ".tif", ".webp")
_MOST = 200  # columns that are looked at for file names
_WEAK = ("id", "name")
_CODES = {"", "0", "1", "0.0", "1.0", "true", "false", "True", "False", "TRUE", "FALSE"}

TableKind = Literal["wide_csv", "long_csv", "hugging_face", "open_images", "label_studio_csv"]


@lru_cache(1 << 16)
def plain(name: str) -> str:
    """A column name without what tools write differently: capitals, spaces, `_` and `-`."""
    return re.sub(r"[\s_\-./]+", "", name).lower()


def kind(path: Path, separator: str | None = None) -> TableKind | None:
    """Find which reader a table is for, by its header and the first cells of its columns; None if it is no table.

    Raises:
        ValueError: It may be several, or what its numbers mean is not certain; the message says how to tell.
    """
    if not _columns.is_table(path):
        return None
    if _columns.is_open_images(path):
        return "open_images"
    nested = _columns.nested(path)
    if any(nested.values()) or any(plain(name) in LABELS for name in nested):
        return "hugging_face"
    names = _columns.header(path, separator)
    if {"annotation_id", "annotator", "lead_time"} <= {*names}:
        return "label_studio_csv"
    words = [at for at in label_columns(names) if not _is_codes(path, at, names, separator)]
    others = _other_columns(names)
    if words:
        _refuse_both(path, words, others, names, separator)
        return "long_csv"
    return _of_codes(path, names, others, separator)


def label_columns(names: Sequence[str]) -> list[int]:
    """The columns that may hold class names, by their names: `labels`, `tags`, ..., or `label1`, `label2`, ...."""
    usual = [at for at, name in enumerate(names) if plain(name) in LABELS]
    numbered = [at for at, name in enumerate(names) if _NUMBERED.fullmatch(name)]
    return usual + (numbered if len(numbered) > 1 else [])


def names_columns(path: Path, names: Sequence[str], separator: str | None) -> list[int]:
    """The columns that hold class names, where nobody said which.

    Raises:
        ValueError: None, or several that are not numbered; the message says how to name them.
    """
    if "labels" in names:
        return [names.index("labels")]
    found = [at for at in label_columns(names) if not _is_codes(path, at, names, separator)]
    if not found:
        found = label_columns(names)
    numbered = all(_NUMBERED.fullmatch(names[at]) for at in found)
    if len(found) == 1 or (found and numbered):
        return found
    if found:
        several = " and ".join(repr(names[at]) for at in found)
        raise InputError(
            f"{path}: both {several} may hold the class names; say which with ",
            ReaderArgument("labels_column", names[found[0]], format="long_csv"),
        )
    raise InputError(
        f"{path}: no column is called labels, label, tags or class; there are: {some(map(repr, names))}. Say which "
        "holds the class names with ",
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

    It is the one asked for; else the one of a usual name (`IMAGES`); where several have one, or none has, or its
    cells are no files, the one whose cells are files of the image folder; else the one whose cells end in the suffix
    of an image.

    Args:
        path: The table.
        names: Of its columns.
        wanted: The column asked for.
        separator: Between the cells of the file.
        images: The image folder; the folder of the table if None.

    Raises:
        ValueError: There is no such column, or there are several.
    """
    if wanted is not None:
        return _columns.column_at(path, names, wanted)
    _refuse_no_header(path, names)
    usual = sorted((IMAGES.index(plain(name)), at) for at, name in enumerate(names) if plain(name) in IMAGES)
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
            f"{path}: both {several} may hold the image paths; say which with ",
            ReaderArgument("image_column", names[found[0]]),
        )
    return _by_suffix(path, names, separator)


class Understood(NamedTuple):
    """What a reader took the columns of a table for, to be shown to people.

    Attributes:
        image: The column of image paths.
        split: The column of parts, if there is one.
        left_out: The columns that were not used.
        labels: The columns of class names, if there are such columns.
    """

    image: str
    split: str | None
    left_out: list[str]
    labels: tuple[str, ...] = ()


class Split(NamedTuple):
    """The column that says which part an image is in.

    Attributes:
        at: Where it is.
        is_flag: Whether it says true of validation images and false of training images.
    """

    at: int
    is_flag: bool = False

    def part(self, cell: str) -> str:
        """The name of the part that a cell says."""
        if not self.is_flag:
            return cell
        return "val" if cell.strip().lower() in ("1", "1.0", "true") else "train"


def split_column(
    path: Path, names: Sequence[str], wanted: str | None = None, separator: str | None = None
) -> Split | None:
    """Find the column of parts: the one asked for, `split`, one that has only names of parts, or `is_valid`."""
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

    They have each whole number at most once; columns without a name may also be blank, as spreadsheets leave them. Of
    few rows, only columns without a name of their own are certain, and a single row has to be number 0, which is where
    pandas starts.
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
    """Whether a column has no name of its own; pandas gives it one."""
    return not name or name.startswith("Unnamed")


def _is_codes(path: Path, at: int, names: Sequence[str], separator: str | None) -> bool:
    """Whether all cells of a column are 1, 0 or blank, in one of their spellings."""
    return all((codes(block[0]) != WRONG).all() for block in _columns.blocks(path, [at], names, separator))


def _other_columns(names: Sequence[str]) -> list[int]:
    """The columns that may be classes, by their names."""
    no_classes = (*IMAGES, *METADATA, "absent")
    return [
        at
        for at, name in enumerate(names)
        if plain(name) not in no_classes
        and plain(name) not in LABELS
        and name
        and not name.startswith("Unnamed:")
    ]


def _refuse_both(
    path: Path, words: Sequence[int], others: Sequence[int], names: Sequence[str], separator: str | None
) -> None:
    """Refuse a table with a column of class names and columns of 1 and 0: one of the two would be left out."""
    others = [at for at in others if at not in words][:_MOST]
    heads = _columns.head(path, others, names, separator) if others else []
    codes = [at for at, cells in zip(others, heads, strict=True) if any(cells) and set(cells) <= _CODES]
    if codes:
        listed = names[words[0]]
        raise InputError(
            f"{path}: column {listed!r} has names, and {some(repr(names[at]) for at in codes)} have 1 and 0. If those "
            "are the classes, give ",
            ReaderArgument("leave_out", [names[at] for at in words], format="wide_csv"),
            "; if the names are, ",
            ReaderArgument("labels_column", listed, format="long_csv"),
        )


def _of_codes(path: Path, names: Sequence[str], others: Sequence[int], separator: str | None) -> TableKind:
    """Find what a table without class names is; a column called `label` beside no class may hold numbers of classes.

    Raises:
        ValueError: It is not certain whether its 0 and 1 are labels or numbers of classes.
    """
    labels = [at for at in label_columns(names) if not _NUMBERED.fullmatch(names[at])]
    if len(labels) != 1 or others or len(names) < 2:
        return "wide_csv"
    cells = _columns.head(path, labels, names, separator)[0]
    if cells and not _columns.is_parquet(path) and all(not cell or is_null(cell) for cell in cells):
        return "long_csv"
    if cells and set(cells) <= {"0", "1"}:
        name = names[labels[0]]
        raise InputError(
            f"{path}: what do 0 and 1 in column {name!r} mean? If it is a class, and they say absent and present: ",
            Argument("format", "wide_csv"),
            "; if they are the numbers of classes: ",
            ReaderArgument("labels_column", name, format="long_csv"),
            " and ",
            ReaderArgument("classes", placeholder="'[FIRST,SECOND]'"),
        )
    return "wide_csv"


def is_image(images: Path, cell: str) -> bool:
    """Whether a cell names a file of the image folder, perhaps by a path of another machine or without its suffix."""
    if not cell or "\0" in cell:
        return False
    found = images / in_folder(images, cell)
    return found.is_file() or any(found.with_name(f"{found.name}{end}").is_file() for end in _ENDINGS)


def _are_files(path: Path, at: int, names: Sequence[str], separator: str | None, images: Path) -> bool:
    """Whether at least one of the first cells of a column is a file of the image folder."""
    return any(is_image(images, cell) for cell in _columns.head(path, [at], names, separator)[0])


def _refuse_no_header(path: Path, names: Sequence[str]) -> None:
    """Refuse a table whose first line has a file name, and so no names of columns."""
    files = [name for name in names if _SUFFIX.search(name)]
    if files:
        raise InputError(
            f"{path}: the first line has {files[0]!r} where the name of a column is expected; write a line with the "
            "names of the columns before it, such as image,labels"
        )


def _with_files(
    path: Path, names: Sequence[str], separator: str | None, images: Path, usual: Sequence[int]
) -> int | None:
    """The column whose first cells are all files of the image folder, those of a usual name first; None if none is."""
    looked = [*usual, *(at for at in range(min(len(names), _MOST)) if at not in usual)]
    nested = _columns.nested(path)
    looked = [at for at in looked if names[at] not in nested]
    for at, cells in zip(looked, _columns.head(path, looked, names, separator), strict=True):
        if cells and all(is_image(images, cell) for cell in cells):
            return at
    return None


def _by_suffix(path: Path, names: Sequence[str], separator: str | None) -> int:
    """The only column whose first cells all end in the suffix of an image."""
    nested = _columns.nested(path)
    looked = [at for at in range(min(len(names), _MOST)) if names[at] not in nested]
    heads = _columns.head(path, looked, names, separator)
    found = [at for at, cells in zip(looked, heads, strict=True) if cells and all(map(_SUFFIX.search, cells))]
    if len(found) == 1 and len(names) > 1:
        return found[0]
    mark = _separator_in(names[0])
    long = "long_csv" if label_columns([name.strip() for name in names[0].split(mark)]) else None
    said = ["; is the separator another? Say it with ", ReaderArgument("separator", mark, format=long)]
    raise InputError(
        f"{path}: no column holds the image paths; call it image, path, file or filename, or say which it is with ",
        ReaderArgument("image_column", placeholder="NAME"),
        f". There are: {some(map(repr, names))}",
        *(said if len(names) == 1 else []),
    )


def _separator_in(line: str) -> str:
    """The mark that most likely stands between the cells of a line."""
    return max((";", "\t", "|", " "), key=line.count)
