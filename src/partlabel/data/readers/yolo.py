"""YOLO datasets (Ultralytics, Roboflow, labelImg): `data.yaml`, images, and one text file of boxes per image.

A line is a class number and coordinates (a box, a polygon or keypoints); the classes of an image are those of its
lines. An empty file is an annotated image without any class; an image without a file counts as not annotated. Class
names are in `data.yaml` (a list, or a mapping from numbers), `classes.txt` or `obj.names`. Parts are the folders that
`data.yaml` gives as train, val and test, or else folders with such names.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from partlabel.core.fixes import InputError, ReaderArgument
from partlabel.core.messages import some
from partlabel.core.text_files import lines_of, listed_in
from partlabel.data.readers import _beside, _folders, _names
from partlabel.data.readers._build import require_absent
from partlabel.data.tables.label_table import Absent, LabelTable
from partlabel.data.tables.part_names import PARTS, part_name

NAME_FILES = ("classes.txt", "obj.names", "predefined_classes.txt")
LISTS = ("train.txt", "val.txt", "valid.txt", "test.txt")
YAML = (".yaml", ".yml")
ABSENCE = {
    "unknown": "YOLO lists only what is present; a class without a box in an image is unknown",
    "negative": "YOLO lists only what is present; a class without a box in an image's file is absent; all of an image "
    "without a file is unknown",
}
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def recognises(path: Path) -> bool:
    """Return whether a path is a `data.yaml` with names, or a folder with one or with text files of boxes."""
    if path.is_file():
        return path.suffix.lower() in YAML and _folders.has_names(path)
    return "yolo" in _folders.kinds(path)


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
) -> LabelTable:
    """Read a dataset.

    Args:
        path: `data.yaml`; or the folder that contains it or the label files.
        images: Image folder; by default images are beside the label files, or in folders named images.
        absent: Meaning of a class without a box; required.
        classes: Names of the class numbers, from 0; by default those of the dataset's own files.

    Raises:
        ValueError: There are no images or no label files, a class number has no name, or a line is not a box.

    Warns:
        UserWarning: Label files match no image.
    """
    require_absent(path, absent, "YOLO lists only what is present")
    data = _Data.of(path)
    names = data.names if classes is None else dict(enumerate(classes))
    pairs = _beside.pairs(
        data.root, images, ".txt", (*NAME_FILES, *LISTS, *YAML, ".names", ".data", ".cache")
    )
    found = [_found(pair, names) for pair in pairs]
    split = data.split([pair.image for pair in pairs]) or _beside.split_of([pair.image for pair in pairs])
    columns = [names[number] for number in sorted(names)] if names else None
    return _names.table(path, found, columns, absent, images or data.root, split)


class _Data(NamedTuple):
    """Content of `data.yaml` and of the files of class names.

    Attributes:
        root: Folder of the dataset.
        names: Names of the class numbers.
        folders: Image folders of each part, relative to the root.
    """

    root: Path
    names: dict[int, str]
    folders: dict[str, list[str]]

    @classmethod
    def of(cls, path: Path) -> "_Data":
        """Find the files of a dataset."""
        if path.is_file():
            return cls._of_yaml(path)
        files = [
            file
            for file in sorted(path.iterdir())
            if file.suffix.lower() in YAML and _folders.has_names(file)
        ]
        if len(files) > 1:
            raise ValueError(
                f"{path}: several files have names of classes: {some(f.name for f in files)}; name one"
            )
        return cls._of_yaml(files[0]) if files else cls(path, _names_beside(path), {})

    @classmethod
    def _of_yaml(cls, file: Path) -> "_Data":
        content = _loaded(file)
        named = content.get("path")
        root = file.parent / str(named) if named else file.parent
        root = root if root.is_dir() else file.parent
        folders = {
            part_name(key): [each for entry in _as_list(content[key]) if (each := _below(root, file, entry))]
            for key in content
            if part_name(str(key)) in PARTS and content[key]
        }
        return cls(root, _numbered(file, content.get("names")), folders)

    def split(self, images: list[str]) -> list[str] | None:
        """Return the part of each image; None if the file names no existing folder."""
        starts = [(f"{folder}/", part) for part, folders in self.folders.items() for folder in folders]
        if not starts or len({start for start, _ in starts}) < len(starts):
            return None
        split = [next((part for start, part in starts if image.startswith(start)), "") for image in images]
        return split if any(split) else None


def _loaded(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load("\n".join(lines_of(file)))
    except yaml.YAMLError as error:
        raise ValueError(f"{file}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file}: not a YOLO data.yaml: it has no key 'names'")
    return content


def _numbered(file: Path, names: Any) -> dict[int, str]:
    """Return the names of class numbers from a list or a mapping."""
    pairs = (
        names.items() if isinstance(names, dict) else enumerate(names) if isinstance(names, list) else None
    )
    if pairs is None:
        raise ValueError(
            f"{file}: 'names' is {names!r}; it lists the classes, or maps their numbers to names"
        )
    try:
        return {int(number): str(name).strip() for number, name in pairs}
    except (TypeError, ValueError):
        raise ValueError(f"{file}: 'names' maps numbers to names; it has {some(names)}") from None


def _names_beside(path: Path) -> dict[int, str]:
    """Return the names in the folder's file of class names; empty if there is no such file."""
    files = [file for file in _beside.files_in(path) if file.rpartition("/")[2].lower() in NAME_FILES]
    listed = {file: listed_in(path / file) for file in files}
    if len({tuple(names) for names in listed.values()}) > 1:
        raise ValueError(f"{path}: {some(listed)} give different class names; keep one")
    return dict(enumerate(next(iter(listed.values()), [])))


def _found(pair: _beside.LabelledImage, names: dict[int, str]) -> _names.Found:
    if pair.file is None:
        return _names.Found(pair.image, (), looked=False)
    present = set()
    for number, line in enumerate(lines_of(pair.file), start=1):
        words = line.split()
        if not words:
            continue
        if not words[0].isdigit() or not all(_NUMBER.fullmatch(word) for word in words):
            raise ValueError(
                f"{pair.file}, line {number}: {line.strip()[:80]!r} is not a box: a class number and coordinates; if "
                "the file lists class names, the format of the folder is sidecar"
            )
        if int(words[0]) not in names:
            raise InputError(
                f"{pair.file}, line {number}: class {words[0]} has no name: there are {len(names)} names; write "
                "data.yaml or classes.txt, or give all names with ",
                ReaderArgument("classes", placeholder="'[NAME, NAME]'"),
            )
        present.add(names[int(words[0])])
    return _names.Found(pair.image, present, where=pair.file.name)


def _as_list(entry: Any) -> list[str]:
    return [str(each) for each in entry] if isinstance(entry, list) else [str(entry)]


def _below(root: Path, file: Path, entry: str) -> str | None:
    """Return an image folder of `data.yaml` relative to the root; None if it does not exist.

    Roboflow writes `../train/images` and means `train/images`.
    """
    entry = entry.replace("\\", "/").rstrip("/")
    for start, folder in ((root, entry), (file.parent, entry), (root, re.sub(r"^(\.\./)+", "", entry))):
        there = (start / folder).resolve()
        if there.is_dir() and there.is_relative_to(root.resolve()) and there != root.resolve():
            return there.relative_to(root.resolve()).as_posix()
    return None
