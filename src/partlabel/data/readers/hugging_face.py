"""A Hugging Face image data set as parquet: a column of images (paths, or files inside) and one of labels.

Labels are lists of names, lists of ids whose names the file's metadata has (`ClassLabel`), one name or id, or
`multi_hot`: one value a class, 1, 0 or null.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow.parquet as pq

from partlabel.data.aside import written_aside
from partlabel.data.part_names import PARTS, part_name
from partlabel.data.readers import _columns, _json, _names, _roles
from partlabel.data.readers._build import require_absent
from partlabel.data.table import Absent, LabelTable
from partlabel.text import some

Coding = Literal["ids", "multi_hot"]
ABSENCE = {
    "unknown": "absent is what the column of absent labels lists, or what is 0 in multi_hot lists; what is not "
    "mentioned, or null, is unknown",
    "negative": "absent is every label that a row's list does not mention; what is null in "
    "multi_hot lists, and all of a row whose list is null, is unknown",
}
_IMAGES, _LABELS = ("image", "img", "path", "file_name", "filename"), ("labels", "label", "tags")
_ROWS = 256  # with their images, at a time
_SUFFIXES = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"BM": ".bmp", b"RIFF": ".webp"}


def recognises(path: Path) -> bool:
    """A parquet file with images inside, or with lists of labels."""
    return _roles.kind(path) == "hugging_face"


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
    image_column: str | None = None,
    labels_column: str | None = None,
    absent_column: str | None = None,
    coding: Coding = "ids",
    extract: str | Path | None = None,
) -> LabelTable:
    """Read a parquet file, or a folder of `train-00000-of-00002.parquet`, `default/train/0000.parquet` and so on.

    Of a folder, a word in a file's name, or else in that of the nearest folder that has one, is its part, as the hub
    has them: `train`; `validation`, `valid`, `val` or `dev`; `test` or `eval`. Without any such word there are none.

    Args:
        path: The file or folder.
        images: The image folder, where images are not inside.
        absent: What a label that a row does not list means; required unless the file says what is absent.
        classes: All labels in their order; the names of ids where the file does not have them.
        image_column: The images; without it, `image`, `img`, `path`, `file_name` or `filename`.
        labels_column: The labels; without it, `labels`, `label` or `tags`.
        absent_column: The labels that are known to be absent, as a list.
        coding: Whether lists of numbers are `ids`, or `multi_hot`: 1, 0 or null for every class.
        extract: Write images that are inside into this folder, as `<file>-<row>.jpg`, in the folders that the file is
            in below `path`; those that are not yet there.

    Raises:
        ValueError: There is no such column, an id has no name, images are inside and are not to be extracted, another
            image has the place of one already, or some files of a folder have a part and others none.
    """
    files = [path] if path.is_file() else sorted(path.rglob("*.parquet"))
    if not files:
        raise ValueError(f"{path}: no parquet file in this folder or below")
    if absent_column is None and coding == "ids":
        require_absent(path, absent, "the labels list only what is present")
    folder = None if extract is None else Path(extract)
    parts = _parts(path, files) if path.is_dir() else None
    found, split = [], []
    for number, file in enumerate(files):
        layout = _Layout.of(file, image_column, labels_column, absent_column, coding, classes)
        below = Path(file.name) if path.is_file() else file.relative_to(path)
        of_file = list(_rows(file, below, layout, images, folder))
        found += of_file
        split += [parts[number]] * len(of_file) if parts else []
    if classes is None:
        classes = _shared(
            [_Layout.of(file, image_column, labels_column, None, coding, None).names for file in files]
        )
    root = folder or images or (path.parent if path.is_file() else path)
    return _names.table(path, found, classes, absent, root, split if parts else None)


def _parts(path: Path, files: Sequence[Path]) -> list[str] | None:
    """The part of each file of a folder; None where no name says any."""
    parts = [_part(file.relative_to(path)) for file in files]
    if not any(parts):
        return None
    if not all(parts):
        odd = files[parts.index("")].relative_to(path).as_posix()
        raise ValueError(
            f"{path}: of which part is {odd}? Others have train, validation or test in their names, or in those of "
            "their folders; rename it, or take it out of this folder"
        )
    return parts


def _part(below: Path) -> str:
    """What the name of a file says, or else that of the nearest folder that says anything; empty where none does."""
    names = (below.stem, *reversed(below.parts[:-1]))
    words = (word for name in names for word in re.split(r"[-._ 0-9]+", name.lower()))
    return next((part for word in words if (part := part_name(word)) in PARTS), "")


class _Layout(NamedTuple):
    """Which columns of a file are what, and the names of ids."""

    image: str
    labels: str
    absent: str | None
    coding: Coding
    names: list[str] | None

    @classmethod
    def of(
        cls,
        file: Path,
        image: str | None,
        labels: str | None,
        absent: str | None,
        coding: Coding,
        classes: Sequence[str] | None,
    ) -> "_Layout":
        there = _columns.header(file)
        image = _column(file, there, image, _IMAGES, "images", "image_column")
        labels = _column(file, there, labels, _LABELS, "labels", "labels_column")
        absent = None if absent is None else there[_columns.column_at(file, there, absent)]
        own = _class_names(file, labels)
        return cls(image, labels, absent, coding, own or (None if classes is None else list(classes)))


def _column(
    file: Path, there: Sequence[str], wanted: str | None, usual: Sequence[str], what: str, option: str
) -> str:
    if wanted is not None:
        return there[_columns.column_at(file, there, wanted)]
    found = next((name for name in usual if name in there), None)
    if found is None:
        raise ValueError(
            f"{file}: no column of {what}: none is called {', '.join(usual)}; there are: {some(map(repr, there))}. "
            f"Say which with {option}="
        )
    return found


def _class_names(file: Path, column: str) -> list[str] | None:
    """The names of a column's ids, which the data set library keeps in the file's metadata."""
    kept = (pq.read_schema(file).metadata or {}).get(b"huggingface")
    if kept is None:
        return None
    feature = json.loads(kept).get("info", {}).get("features", {}).get(column)
    while isinstance(feature, (dict, list)):
        if isinstance(feature, dict) and isinstance(feature.get("names"), list):
            return [str(name).strip() for name in feature["names"]]
        feature = feature[0] if isinstance(feature, list) and feature else dict(feature or {}).get("feature")
    return None


def _rows(
    file: Path, below: Path, layout: _Layout, images: Path | None, folder: Path | None
) -> Iterator[_names.Found]:
    """What each row says; images are written out on the way, to where `below` has the file in its folder."""
    names = [layout.image, layout.labels, *([layout.absent] if layout.absent else [])]
    stem = below.with_suffix("").as_posix()
    width = len(str(max(pq.read_metadata(file).num_rows - 1, 0)))
    row = 0
    for batch in pq.ParquetFile(file).iter_batches(_ROWS, columns=names):
        for entry in batch.to_pylist():
            where = f"{file.name}, row {row + 1}"
            image = _image(file, where, entry[layout.image], f"{stem}-{row:0{width}}", images, folder)
            present, gone, blank = _labels(file, where, layout, entry[layout.labels])
            if layout.absent:
                gone = [*gone, *(_labels(file, where, layout, entry[layout.absent])[0])]
            yield _names.Found(image, present, gone, entry[layout.labels] is not None, blank, where)
            row += 1


def _image(file: Path, where: str, value: Any, name: str, images: Path | None, folder: Path | None) -> str:
    """The path of a row's image, which is written out if it is inside."""
    inside = value.get("bytes") if isinstance(value, dict) else None
    path = value.get("path") if isinstance(value, dict) else value
    if inside is not None and folder is not None:
        suffix = next((end for start, end in _SUFFIXES.items() if inside.startswith(start)), ".jpg")
        target = folder / f"{name}{suffix}"
        if target.is_file() and target.read_bytes() != inside:
            raise ValueError(
                f"{file}: {where}: {target} is another image; was another data set extracted there? Give extract= a "
                "folder of its own"
            )
        if not target.is_file():
            with written_aside(target) as aside:
                aside.write_bytes(inside)
        return f"{name}{suffix}"
    if not isinstance(path, str) or (inside is not None and images is None):
        said = "the image is inside the file; say with extract= into which folder to write the images"
        raise ValueError(f"{file}: {where}: {said if inside is not None else f'no image: {value!r}'}")
    return path


def _labels(file: Path, where: str, layout: _Layout, value: Any) -> tuple[list[str], list[str], list[str]]:
    """What a cell says is present, what it says is absent, and what it leaves open."""
    if value is None:
        return [], [], []
    listed = value if isinstance(value, list) else [value]
    if layout.coding == "multi_hot":
        if layout.names is None or len(listed) != len(layout.names):
            named = f"{len(layout.names)} classes" if layout.names else "classes without names: give classes="
            raise ValueError(f"{file}: {where}: {len(listed)} values for {named}")
        wrong = [each for each in listed if each not in (0, 1, None)]
        if wrong:
            raise ValueError(f"{file}: {where}: {wrong[0]!r} is none of 1, 0 and null")
        pairs = list(zip(layout.names, listed, strict=True))
        yes, no, blank = ([name for name, code in pairs if code == each] for each in (1, 0, None))
        return yes, no, blank
    return _json.stripped(_name(file, where, layout, each) for each in listed if each is not None), [], []


def _name(file: Path, where: str, layout: _Layout, label: Any) -> str:
    if isinstance(label, str):
        return label
    if not isinstance(label, int) or isinstance(label, bool):
        raise ValueError(
            f"{file}: {where}: {layout.labels} holds {label!r}, which is neither a name nor an id"
        )
    if layout.names is None:
        raise ValueError(
            f"{file}: {where}: what is label {label}? The file has no names of ids: give classes="
        )
    if not 0 <= label < len(layout.names):
        raise ValueError(
            f"{file}: {where}: id {label} of {layout.labels} has no name: there are {len(layout.names)}"
        )
    return layout.names[label]


def _shared(names: list[list[str] | None]) -> list[str] | None:
    """The names of ids, which all files have in the same order."""
    given = [each for each in names if each is not None]
    return given[0] if given and all(each == given[0] for each in given) else None
