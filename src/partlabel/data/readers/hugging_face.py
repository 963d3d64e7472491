"""Hugging Face image dataset as parquet: a column of images (paths, or embedded files) and one of labels.

Labels are lists of names, lists of ids whose names are in the file's metadata (`ClassLabel`), a single name or id, or
`multi_hot`: one value per class, 1, 0 or null. Without a column of labels, each class is a column, as in a wide table.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from partlabel.core.files import atomic_write
from partlabel.core.fixes import InputError, ReaderArgument
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.data.readers import _json, _kinds, _names
from partlabel.data.readers._build import require_absent
from partlabel.data.readers._codes import WRONG, MinusOne, codes
from partlabel.data.readers._hub import Coding, Layout, Options, written_names
from partlabel.data.readers._text_columns import strings_in
from partlabel.data.tables.label_table import Absent, LabelTable
from partlabel.data.tables.part_names import PARTS, part_name

ABSENCE = {
    "unknown": "absent is what the column of absent labels lists, or what is 0 in multi_hot lists; what is not "
    "mentioned, or null, is unknown",
    "negative": "absent is every label that a row's list does not mention; what is null in "
    "multi_hot lists, and all of a row whose list is null, is unknown",
}
_ROWS = 256  # with their images, at a time
_SUFFIXES = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"BM": ".bmp", b"RIFF": ".webp"}


def recognises(path: Path) -> bool:
    """Return whether a file is parquet with embedded images, or with lists of labels."""
    return _kinds.kind(path) == "hugging_face"


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
    image_column: str | None = None,
    labels_column: str | None = None,
    absent_column: str | None = None,
    coding: Coding | None = None,
    extract: str | Path | None = None,
    leave_out: Sequence[str] = (),
    minus_one: MinusOne | None = None,
) -> LabelTable:
    """Read a parquet file, or a folder of `train-00000-of-00002.parquet`, `default/train/0000.parquet` and so on.

    In a folder, the part of a file is given by a word in its name, or else in the nearest folder name with such a word,
    as on the hub: `train`; `validation`, `valid`, `val` or `dev`; `test` or `eval`. Without any such word there are no
    parts.

    Args:
        path: Parquet file or folder.
        images: Image folder, if images are not embedded.
        absent: Meaning of a label that a row does not list; required unless the file has absent labels.
        classes: All labels in their order; names of the ids if the file does not contain them.
        image_column: Column of images; by default the column with embedded images, or `image`, `path`, `file_name`,
            ....
        labels_column: Column of labels; by default `labels`, `label`, `tags`, ...; if there is none, every column of
            numbers or booleans is a class.
        absent_column: Column of lists of absent labels.
        coding: Meaning of lists of numbers: `ids`, or `multi_hot`: 1, 0 or null for every class; by default ids, unless
            all lists consist of zeros and ones and have one value per class.
        extract: Folder into which embedded images are written as `<file>-<row>.jpg`, in the subfolders of the file
            below `path`; existing images are not written again.
        leave_out: Columns that are not classes, if each class is a column.
        minus_one: Meaning of -1, if each class is a column; see `wide_csv`.

    Raises:
        ValueError: A column does not exist, an id has no name, images are embedded and `extract` is not given, another
            image already exists at the target path, or only some files of a folder have a part.
    """
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    if not files:
        raise ValueError(f"{path}: no parquet file in this folder or below")
    options = Options(image_column, labels_column, absent_column, coding, classes, leave_out, minus_one)
    layouts = [Layout.of(file, options) for file in files]
    if absent_column is None and any(layout.coding == "ids" for layout in layouts):
        require_absent(path, absent, "the labels list only what is present")
    folder = None if extract is None else Path(extract)
    parts = _parts(path, files) if path.is_dir() else None
    found, split = [], []
    for number, (file, layout) in enumerate(zip(files, layouts, strict=True)):
        below = Path(file.name) if path.is_file() else file.relative_to(path)
        of_file = list(_rows(file, below, layout, images, folder))
        found += of_file
        split += [parts[number]] * len(of_file) if parts else []
    if classes is None:
        classes = _shared([layout.names for layout in layouts])
    root = folder or images or (path.parent if path.is_file() else path)
    return _names.table(path, found, classes, absent, root, split if parts else None)


def _parts(path: Path, files: Sequence[Path]) -> list[str] | None:
    """Return the part of each file of a folder; None if no name contains one."""
    parts = [_part(file.relative_to(path)) for file in files]
    if not any(parts):
        return None
    if not all(parts):
        odd = files[parts.index("")].relative_to(path).as_posix()
        raise ValueError(
            f"{path}: {odd} has no part. Others have train, validation or test in their names, or in those of their "
            "folders; rename it, or remove it from this folder"
        )
    return parts


def _part(below: Path) -> str:
    """Return the part given by a file's name, or else by the nearest folder's; empty if there is none."""
    names = (below.stem, *reversed(below.parts[:-1]))
    words = (word for name in names for word in re.split(r"[-._ 0-9]+", name.lower()))
    return next((part for word in words if (part := part_name(word)) in PARTS), "")


def _rows(
    file: Path, below: Path, layout: Layout, images: Path | None, folder: Path | None
) -> Iterator[_names.Found]:
    """Yield the labels of each row; embedded images are written to the place that corresponds to `below`."""
    stem = below.with_suffix("").as_posix()
    width = len(str(max(pq.read_metadata(file).num_rows - 1, 0)))
    row = 0
    for batch in pq.ParquetFile(file).iter_batches(_ROWS, columns=written_names(file, layout.columns)):
        batch = batch.rename_columns([name.strip() for name in batch.schema.names])
        columns = _codes_of(file, row, layout, batch) if layout.labels is None else None
        kept = [layout.image, *(each for each in (layout.labels, layout.absent) if each), *layout.captions]
        for at, entry in enumerate(batch.select(kept).to_pylist()):
            where = f"{file.name}, row {row + 1}"
            image = _image(file, where, entry[layout.image], f"{stem}-{row:0{width}}", images, folder)
            texts = [text for name in layout.captions for text in strings_in(entry[name])]
            if columns is not None:
                present, gone, blank = _of_codes(layout.names or [], columns[at])
                yield _names.Found(image, present, gone, True, blank, where, texts=texts)
            else:
                value = entry[layout.labels]
                present, gone, blank = _labels(file, where, layout, value)
                if layout.absent:
                    gone = [*gone, *(_labels(file, where, layout, entry[layout.absent])[0])]
                looked = (
                    layout.texts.get(value, ()) is not None if isinstance(value, str) else value is not None
                )
                yield _names.Found(image, present, gone, looked, blank, where, texts=texts)
            row += 1


def _codes_of(file: Path, row: int, layout: Layout, batch: pa.RecordBatch) -> np.ndarray:
    """Return the labels of some rows if each class is a column."""
    names = layout.names or []
    found = np.stack([codes(batch.column(name), layout.minus_one) for name in names], axis=1)
    wrong = [name for name, column in zip(names, found.T, strict=True) if (column == WRONG).any()]
    if wrong:
        at = int(np.flatnonzero(found[:, names.index(wrong[0])] == WRONG)[0])
        cell = batch.column(wrong[0])[at].as_py()
        hint: list[object] = []
        if cell == -1:
            hint = ["; if -1 is a label, give ", ReaderArgument("minus_one", "unknown"), " or "]
            hint.append(ReaderArgument("minus_one", "absent"))
        raise InputError(
            f"{file}: column {' and '.join(map(repr, wrong))} has cells that are not labels: row {row + at + 1} of "
            f"{wrong[0]!r} is {cell!r}, not 1, 0 or null. If it is not a class, leave it out with ",
            ReaderArgument("leave_out", [*layout.left_out, *wrong]),
            *hint,
        )
    return found


def _of_codes(names: Sequence[str], labels: np.ndarray) -> tuple[list[str], list[str], list[str]]:
    """Return the present, absent and unknown classes of a row."""
    yes, no, blank = (
        [names[at] for at in np.flatnonzero(labels == code).tolist()] for code in (PRESENT, ABSENT, UNKNOWN)
    )
    return yes, no, blank


def _image(file: Path, where: str, value: Any, name: str, images: Path | None, folder: Path | None) -> str:
    """Return the path of a row's image; an embedded image is written first."""
    inside = value.get("bytes") if isinstance(value, dict) else value if isinstance(value, bytes) else None
    path = value.get("path") if isinstance(value, dict) else value
    if inside is not None and folder is not None:
        suffix = next((end for start, end in _SUFFIXES.items() if inside.startswith(start)), ".jpg")
        target = folder / f"{name}{suffix}"
        if target.is_file() and target.read_bytes() != inside:
            raise InputError(
                f"{file}: {where}: {target} is another image; was another dataset extracted there? Give a separate "
                "folder with ",
                ReaderArgument("extract", placeholder="FOLDER"),
            )
        if not target.is_file():
            with atomic_write(target) as aside:
                aside.write_bytes(inside)
        return f"{name}{suffix}"
    if not isinstance(path, str) or (inside is not None and images is None):
        if inside is None:
            raise ValueError(f"{file}: {where}: no image: {value!r}")
        raise InputError(
            f"{file}: {where}: the image is inside the file; to write images into a folder, give ",
            ReaderArgument("extract", placeholder="FOLDER"),
        )
    return path


def _labels(file: Path, where: str, layout: Layout, value: Any) -> tuple[list[str], list[str], list[str]]:
    """Return the present, absent and unknown classes of a cell."""
    if value is None:
        return [], [], []
    if isinstance(value, str) and value in layout.texts:
        return list(layout.texts[value] or ()), [], []
    listed = value if isinstance(value, list) else [value]
    if layout.coding == "multi_hot":
        if layout.names is None or len(listed) != len(layout.names):
            if layout.names:
                raise ValueError(f"{file}: {where}: {len(listed)} values for {len(layout.names)} classes")
            raise InputError(
                f"{file}: {where}: {len(listed)} values for classes without names: give ",
                ReaderArgument("classes", placeholder="'[...]'"),
            )
        wrong = [each for each in listed if each not in (0, 1, None)]
        if wrong:
            raise ValueError(f"{file}: {where}: {wrong[0]!r} is not 1, 0 or null")
        pairs = list(zip(layout.names, listed, strict=True))
        yes, no, blank = ([name for name, code in pairs if code == each] for each in (1, 0, None))
        return yes, no, blank
    return _json.stripped(_name(file, where, layout, each) for each in listed if each is not None), [], []


def _name(file: Path, where: str, layout: Layout, label: Any) -> str:
    if isinstance(label, str):
        return label
    if not isinstance(label, int) or isinstance(label, bool):
        raise ValueError(
            f"{file}: {where}: {layout.labels} holds {label!r}, which is neither a name nor an id"
        )
    if layout.names is None:
        raise InputError(
            f"{file}: {where}: what is label {label}? The file has no names of ids: give ",
            ReaderArgument("classes", placeholder="'[...]'"),
        )
    if not 0 <= label < len(layout.names):
        raise ValueError(
            f"{file}: {where}: id {label} of {layout.labels} has no name: there are {len(layout.names)}"
        )
    return layout.names[label]


def _shared(names: list[list[str] | None]) -> list[str] | None:
    """Return the names of ids if all files have the same in the same order."""
    given = [each for each in names if each is not None]
    return given[0] if given and all(each == given[0] for each in given) else None
