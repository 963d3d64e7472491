"""Text and JSON files beside the images: `a.jpg` and `a.txt`, or `a.json`, or `a.jpg.txt`.

A text file has names on separate lines or separated by commas. A JSON file is a list of names; or an object with lists
`present` (or `labels`, or `tags`) and `absent`; or an object that maps names to true, false and null, or contains such
an object as `labels`. An image without either file counts as not annotated.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from partlabel.core.fixes import Argument, InputError, ReaderArgument
from partlabel.core.messages import some
from partlabel.core.text_files import lines_of
from partlabel.data.images.listing import images_in
from partlabel.data.readers import _beside, _folders, _json, _names
from partlabel.data.readers._build import require_absent
from partlabel.data.readers._cells import fault_of
from partlabel.data.tables.label_table import Absent, LabelTable

ABSENCE = {
    "unknown": "absent is what a JSON file beside an image lists as absent; a class that is not mentioned is unknown",
    "negative": "absent is what a JSON file beside an image lists as absent, and every class that an "
    "image's file does not "
    "mention; what is null, and all of an image without a file, is unknown",
}
_PRESENT = ("present", "labels", "tags")


def recognises(path: Path) -> bool:
    """Return False: text files beside images may be anything, so the format must be given explicitly."""
    return False


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    classes: Sequence[str] | None = None,
    delimiter: str | None = None,
) -> LabelTable:
    """Read the files beside the images of a folder and its subfolders, or in the same places of another folder.

    Args:
        path: Folder of the text and JSON files.
        images: Image folder; the same folder by default.
        absent: Meaning of a class that is not mentioned; required unless a JSON file lists absent classes.
        classes: All classes in their order; by default those that occur, in alphabetical order.
        delimiter: Delimiter between the names of a line; by default a comma, unless spaces may be the delimiter.

    Raises:
        ValueError: There are no images or no files beside them, an image has two, or a file cannot be parsed.
    """
    if not path.is_dir():
        raise ValueError(f"{path}: not a folder; give the one with the text files")
    root = images or path
    listed = images_in(root, (".txt", ".json"))
    files = {image: _file_of(path, image) for image in listed}
    _refuse_shared(path, files)
    beside = [*_beside.files_in(path, ".txt"), *_beside.files_in(path, ".json")]
    _beside.tell_unused(path, root, beside, {*files.values()})
    if delimiter is None:
        _refuse_spaces(path, files, classes)
    found = [_found(image, file, delimiter or ",") for image, file in files.items()]
    if not any(each.looked for each in found):
        raise ValueError(
            f"{path}: no image has a .txt or .json of its name beside it, such as {listed[0]}.txt"
        )
    if not any(each.absent for each in found):
        require_absent(path, absent, "the files beside the images list only what is present")
    return _names.table(path, found, classes, absent, root)


def _file_of(path: Path, image: str) -> Path | None:
    """Return the text or JSON file of an image."""
    stems = (path / image).with_suffix(""), path / image
    there = [file for stem in stems for end in (".txt", ".json") if (file := Path(f"{stem}{end}")).is_file()]
    if len(there) > 1:
        raise ValueError(f"{path}: image {image!r} has {some(file.name for file in there)}; keep one")
    return there[0] if there else None


def _refuse_shared(path: Path, files: dict[str, Path | None]) -> None:
    """Refuse a file that matches several images, such as `a.txt` beside `a.jpg` and `a.png`."""
    of_file: dict[Path, str] = {}
    for image, file in files.items():
        if file is not None and of_file.setdefault(file, image) != image:
            name = file.relative_to(path).as_posix()
            raise ValueError(f"{path}: {name} may belong to {of_file[file]} or {image}; keep one")


def _found(image: str, file: Path | None, delimiter: str) -> _names.Found:
    if file is None:
        return _names.Found(image, (), looked=False)
    if file.suffix == ".json":
        present, absent, unsure = _of_json(file, _json.load(file))
        return _names.Found(image, present, absent, unsure=unsure, where=file.name)
    lines = lines_of(file)
    _refuse_boxes(file, lines)
    names = (name for line in lines for name in line.split(delimiter))
    return _names.Found(image, _json.stripped(names))


def _refuse_spaces(path: Path, files: dict[str, Path | None], classes: Sequence[str] | None) -> None:
    """Refuse single-line files with spaces but no comma, because they may be one name or several."""
    texts = [file for file in files.values() if file is not None and file.suffix == ".txt"]
    lines = [[line.strip() for line in lines_of(file) if line.strip()] for file in texts]
    if any(len(of_file) > 1 or "," in "".join(of_file) for of_file in lines):
        return
    known = set(classes or ())
    for file, of_file in zip(texts, lines, strict=True):
        spaced = of_file and len(of_file[0].split()) > 1 and not fault_of(of_file[0])
        if spaced and of_file[0] not in known:
            raise InputError(
                f"{path}: {file.name} has {of_file[0]!r}: one name or several? If spaces separate names, give ",
                ReaderArgument("delimiter", " "),
                "; if they belong to names, ",
                ReaderArgument("delimiter", ","),
            )


def _refuse_boxes(file: Path, lines: Sequence[str]) -> None:
    """Refuse YOLO's text files, whose lines are a class number and coordinates."""
    for number, line in enumerate(lines, start=1):
        if _folders.is_box(line.replace(",", " ")):
            raise InputError(
                f"{file}, line {number}: {line.strip()!r} is a box of YOLO, not a name; such folders are read with ",
                Argument("format", "yolo"),
            )


def _of_json(file: Path, content: Any) -> tuple[list[str], list[str], list[str]]:
    """Return the present, absent and unknown (null) classes."""
    if isinstance(content, list):
        return _json.names_in(file, "the file", content), [], []
    if isinstance(content, dict) and isinstance(content.get("labels"), dict):
        content = content["labels"]  # as in tar files of webdataset
    if isinstance(content, dict) and all(
        value in (True, False, None) for value in content.values() if _plain(value)
    ):
        if content and all(_plain(value) for value in content.values()):
            yes, no, open_ = (
                _json.stripped(name for name, value in content.items() if value == each)
                for each in (True, False, None)
            )
            return yes, no, open_
        key = next((key for key in _PRESENT if key in content), None)
        if key is not None or "absent" in content:
            present = _json.names_in(file, repr(key), content[key]) if key is not None else []
            return present, _json.names_in(file, "'absent'", content.get("absent", [])), []
    raise ValueError(
        f"{file}: neither a list of names, nor an object with lists 'present' and 'absent', nor one of names to true, "
        "false and null"
    )


def _plain(value: Any) -> bool:
    return not isinstance(value, (list, dict, str))
