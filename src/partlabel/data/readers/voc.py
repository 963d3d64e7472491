"""Pascal VOC devkit (Everingham et al., 2010): `ImageSets/Main`, `Annotations/*.xml`, `JPEGImages`.

Labels are read from the XML files; without them, from `ImageSets/Main/<class>_<set>.txt` (1 present, -1 absent, 0
difficult). Difficult objects exist in the image. The partial-label literature skips them, so that under `negative`, its
rule, a class with only difficult objects is absent; VOC's own evaluation ignores it, which is `difficult="unknown"`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from partlabel.core.fixes import InputError, ReaderArgument
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.messages import did_you_mean, some
from partlabel.core.text_files import lines_of, listed_in
from partlabel.data.readers import _xml
from partlabel.data.readers._build import build_table, require_absent
from partlabel.data.tables.label_table import Absent, LabelTable
from partlabel.data.tables.part_names import PARTS, TEST, part_name

Difficult = Literal["absent", "unknown", "present"]
_DIFFICULT = {"absent": ABSENT, "unknown": UNKNOWN, "present": PRESENT}
_TXT = {"1": PRESENT, "-1": ABSENT}
ABSENCE = {
    "unknown": "absent is what a text file marks by -1; where XML is read, a class without an object is unknown; "
    "a class with only difficult objects is unknown too, unless difficult is given",
    "negative": "absent is what a text file marks by -1; where XML is read, a class without an object is absent; "
    "a class with only difficult objects is absent too, as in the literature, unless difficult is given",
}


def recognises(path: Path) -> bool:
    """Return whether a folder has `ImageSets/Main`."""
    return (path / "ImageSets" / "Main").is_dir()


def read(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    *,
    sets: Sequence[str] | None = None,
    difficult: Difficult | None = None,
    classes: Sequence[str] | None = None,
) -> LabelTable:
    """Read a devkit, such as `VOCdevkit/VOC2007`.

    Args:
        path: Folder that contains `ImageSets`.
        images: Image folder; by default `JPEGImages` beside `ImageSets`.
        absent: Meaning of a class without an object in the XML; required for XML, where VOC itself means `negative`.
            The text files contain absent labels; for them it only affects `difficult`.
        sets: Names in `ImageSets/Main`, in the order of the rows; they are the parts. By default trainval, or else
            train and val; then test, if it exists; also under other names (`valid`).
        difficult: Label of a class with only difficult objects; by default absent if `absent` is `negative`, as in the
            literature, else unknown.
        classes: Classes in their order; by default all that occur, in alphabetical order.

    Raises:
        ValueError: A set, an annotation file or a class does not exist; a line or an object cannot be parsed.
    """
    main = path / "ImageSets" / "Main"
    other = ABSENT if absent == "negative" else UNKNOWN
    doubtful = other if difficult is None else _DIFFICULT[difficult]
    sets = sets or _sets(main)
    members = {name: _members(main, name) for name in sets}
    ids = [image for name in sets for image in members[name]]
    if (path / "Annotations").is_dir():
        require_absent(path, absent, "XML lists only what is present; in VOC's own files all else is absent")
        columns, labels = _from_xml(path / "Annotations", ids, classes, doubtful, other)
    else:
        columns, labels = _from_txt(main, members, classes, doubtful)
    split = [name for name in sets for _ in members[name]]
    root = images or (path / "JPEGImages" if (path / "JPEGImages").is_dir() else None)
    return build_table(path, ids, columns, labels, split=split, root=root, suffix=".jpg")


def _sets(main: Path) -> list[str]:
    names = sorted(file.stem for file in main.glob("*.txt") if "_" not in file.stem)
    there = sorted(
        (name for name in names if part_name(name) in PARTS), key=lambda name: PARTS.index(part_name(name))
    )
    if "trainval" in there:
        there = ["trainval", *(name for name in there if part_name(name) == TEST)]
    if not there:
        raise InputError(
            f"{main}: no trainval.txt, train.txt, val.txt or test.txt; give the names with ",
            ReaderArgument("sets", placeholder="'[NAME]'"),
        )
    return there


def _members(main: Path, name: str) -> list[str]:
    file = main / f"{name}.txt"
    if not file.is_file():
        known = sorted(there.stem for there in main.glob("*.txt"))
        raise ValueError(
            f"{main}: there is no set {name!r}{did_you_mean(name, known)}; it would be {file.name}"
        )
    return [_id(main.parent.parent, line) for line in listed_in(file)]


def _id(path: Path, line: str) -> str:
    """Return the image of a line; its name may contain spaces and be followed by 1, -1 or 0."""
    marked = re.fullmatch(r"(.*\S)\s+(?:-1|0|1)", line)
    whole = (path / "Annotations" / f"{line}.xml", path / "JPEGImages" / f"{line}.jpg")
    return line if marked is None or any(file.is_file() for file in whole) else marked[1]


def _from_xml(
    folder: Path, ids: list[str], classes: Sequence[str] | None, difficult: int, other: int
) -> tuple[list[str], np.ndarray]:
    """Return the classes and their labels; `other` is the label of a class without an object."""
    gone = [image for image in ids if not (folder / f"{image}.xml").is_file()]
    if gone:
        raise ValueError(
            f"{folder}: {len(gone)} of {len(ids)} annotation files are missing: {some(gone)} (.xml)"
        )
    of_images = [objects(folder / f"{image}.xml") for image in ids]
    columns = list(classes) if classes is not None else sorted({name for of in of_images for name, _ in of})
    number = {name: position for position, name in enumerate(columns)}
    labels = np.full((len(ids), len(columns)), other, np.int8)
    for row, of_image in enumerate(of_images):
        for name, is_difficult in sorted(
            of_image, key=lambda each: not each[1]
        ):  # the plain ones last: they win
            if name not in number:
                raise ValueError(
                    f"{folder / ids[row]}.xml: object {name!r} is not among the classes{did_you_mean(name, columns)}"
                )
            labels[row, number[name]] = difficult if is_difficult else PRESENT
    return columns, labels


def objects(file: Path) -> list[tuple[str, bool]]:
    """Return the name of each object of an XML file, and whether it is difficult.

    Args:
        file: XML file.

    Raises:
        ValueError: The file is not XML, or an object has no name.
    """
    found = []
    for position, each in enumerate(_xml.parse(file).iter("object")):
        name, mark = (each.findtext("name") or "").strip(), (each.findtext("difficult") or "0").strip()
        if not name or mark not in ("0", "1"):
            fault = f"difficult {mark!r} is neither 0 nor 1" if name else "it has no name"
            raise ValueError(f"{file}: object {position}: {fault}")
        found.append((name, mark == "1"))
    return found


def _from_txt(
    main: Path, members: dict[str, list[str]], classes: Sequence[str] | None, difficult: int
) -> tuple[list[str], np.ndarray]:
    if classes is None:
        classes = sorted(
            {file.stem.removesuffix(f"_{name}") for name in members for file in main.glob(f"?*_{name}.txt")}
        )
    if not classes:
        raise ValueError(
            f"{main}: neither ../../Annotations nor files such as dog_{next(iter(members))}.txt; no labels"
        )
    parts = [_class_files(main, name, ids, classes, difficult) for name, ids in members.items()]
    return list(classes), np.concatenate(parts)


def _class_files(main: Path, name: str, ids: list[str], classes: Sequence[str], difficult: int) -> np.ndarray:
    """Return the labels of one set, read from one file per class."""
    labels = np.full((len(ids), len(classes)), UNKNOWN, np.int8)
    number = {image: row for row, image in enumerate(ids)}
    meaning = {**_TXT, "0": difficult}
    for column, of_class in enumerate(classes):
        file = main / f"{of_class}_{name}.txt"
        if not file.is_file():
            raise ValueError(f"{file} is missing: no labels of class {of_class!r} in set {name!r}")
        for line, words in enumerate((each.strip().rsplit(maxsplit=1) for each in lines_of(file)), start=1):
            if not words:
                continue
            if len(words) != 2 or words[0] not in number or words[1] not in meaning:
                raise ValueError(
                    f"{file}, line {line}: {' '.join(words)!r} is not an image of the set and 1, -1 or 0 (difficult)"
                )
            labels[number[words[0]], column] = meaning[words[1]]
    return labels
