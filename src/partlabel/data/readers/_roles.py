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
    """Return whether a column has no name; pandas gives it one."""
    return not name or name.startswith("Unnamed")
