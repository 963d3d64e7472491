"""Contents of a folder besides images: the reader that fits, and hints to the user if none is chosen automatically."""

import os
import re
import warnings
from itertools import islice
from pathlib import Path

from partlabel.core.fixes import Argument, InputWarning
from partlabel.core.messages import some
from partlabel.data.images.listing import is_photo
from partlabel.data.readers import _json, _xml
from partlabel.data.tables.part_names import PARTS, part_name

Pieces = tuple[str | Argument, ...]
_BOX = re.compile(rb"\s*\d+(\s+[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?){4,}\s*")
_CONCEPTS = tuple(
    f"{home}{name}" for home in ("Groundtruth/", "") for name in ("TrainTestLabels", "AllLabels")
)
_TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
_OF_FOLDER, _IN_ALL = 2_000, 20_000  # files that are inspected, to tell what a folder is
_START = 1 << 14  # bytes of a file that are inspected


def kinds(path: Path) -> list[str]:
    """Return the formats of the label files in a folder, judged by the first files of each kind.

    Args:
        path: Folder; other paths have no formats.
    """
    if not path.is_dir():
        return []
    if (path / "ImageSets" / "Main").is_dir():
        return ["voc"]
    if any((path / f"{name}_list_500.txt").exists() for name in ("train", "test")):
        return ["visual_genome"]
    if (path / "ImageList").is_dir() and any((path / name).is_dir() for name in _CONCEPTS):
        return ["nus_wide"]
    if any(_json.kind(file) == "datumaro" for file in islice(sorted(path.glob("annotations/*.json")), 5)):
        return ["datumaro"]
    names = _sample(path)
    texts, sheets, objects = (_first(path, names, suffix) for suffix in (".txt", ".xml", ".json"))
    described = [
        path / name for name in names if name.lower().endswith((".yaml", ".yml")) and "/" not in name
    ]
    found = []
    if any(map(has_names, described)) or any(map(_has_boxes, texts)):
        found.append("yolo")
    if any(map(has_objects, sheets)):
        found.append("voc_flat")
    if any(map(has_shapes, objects)):
        found.append("labelme")
    return found


def has_names(file: Path) -> bool:
    """Return whether a YAML file has the key `names`, as YOLO's has.

    Args:
        file: YAML file.
    """
    return re.search(rb"^[\"']?names[\"']?\s*:", _start(file), re.MULTILINE) is not None


def has_objects(file: Path) -> bool:
    """Return whether an XML file has the format of Pascal VOC.

    Args:
        file: XML file.
    """
    return _xml.first_tag(file) == "annotation"


def has_shapes(file: Path) -> bool:
    """Return whether a JSON file has the format of labelme.

    Args:
        file: JSON file.
    """
    start = _start(file)
    return start.lstrip().startswith(b"{") and b'"shapes"' in start and b'"samples"' not in start


def is_box(line: str) -> bool:
    """Return whether a line is a class number followed by at least four coordinates, as YOLO writes them.

    Args:
        line: Line of a text file.
    """
    return _BOX.fullmatch(line.encode()) is not None


def tell(path: Path) -> None:
    """Warn about the contents of a folder that is read as images without labels.

    Args:
        path: Image folder.

    Warns:
        UserWarning: The folder has files that look like labels, or subfolders that may be classes.
    """
    names = _sample(path)
    hints = [*_label_files(path, names), *_beside_images(path, names), *_class_folders(names)]
    if hints:
        pieces = [piece for each in hints for piece in ("; ", *each)]
        warnings.warn(
            InputWarning(f"{path}: read as images without labels, although ", *pieces[1:]), stacklevel=3
        )


def _label_files(path: Path, names: list[str]) -> list[Pieces]:
    """Describe the annotation files in the folder."""
    found = [(name, _format_of(path, name)) for name in names]
    hints: list[Pieces] = []
    for name, format in [(name, format) for name, format in found if format is not None][:3]:
        with_format = (" and ", Argument("format", format)) if format else ()
        hints.append((f"{name} may have labels: give it instead of the folder, {path / name}", *with_format))
    return hints


def _format_of(path: Path, name: str) -> str | None:
    """Return the reader of a file: an empty string if it is detected automatically, None if there is none."""
    file = path / name
    if name.lower().endswith(_TABLES):
        return ""
    if name.lower().endswith(".xml"):
        return "cvat" if _xml.first_tag(file) == "annotations" else None
    if name.lower().endswith(".json") and not _has_image(path, name) and b'"annotations"' in _start(file):
        return _json.kind(file)
    return None


def _beside_images(path: Path, names: list[str]) -> list[Pieces]:
    """Describe text and JSON files beside images."""
    for suffix in (".txt", ".json"):
        beside = [name for name in names if name.lower().endswith(suffix) and _has_image(path, name)]
        if beside:
            return [
                (
                    f"{beside[0]} lies beside an image: such files are read with ",
                    Argument("format", "sidecar"),
                )
            ]
    return []


def _class_folders(names: list[str]) -> list[Pieces]:
    """Describe subfolders that may be classes: all images are in subfolders, and there are several of them."""
    folders = [name.split("/")[:-1] for name in names if is_photo(name)]
    if all(each and part_name(each[0]) in PARTS for each in folders):
        folders = [each[1:] for each in folders]
    if not all(folders) or len(first := sorted({each[0] for each in folders})) < 2:
        return []
    hint = (
        f"its images lie in {len(first)} folders ({some(first, 3)}): if each is a class, they are read with "
    )
    return [(hint, Argument("format", "class_folders"))]


def _sample(path: Path) -> list[str]:
    """Return files of a folder and its subfolders in alphabetical order: all of them, unless there are very many."""
    found: list[str] = []
    folders = [""]
    for below in folders:  # grows on the way
        try:
            with os.scandir(f"{path}/{below}") as entries:
                some_entries = [each for each in islice(entries, _OF_FOLDER) if not each.name.startswith(".")]
        except OSError:
            continue
        folders += sorted(
            f"{below}{each.name}/" for each in some_entries if each.is_dir(follow_symlinks=False)
        )
        found += [f"{below}{each.name}" for each in some_entries if not each.is_dir()]
        if len(found) > _IN_ALL or len(folders) > _IN_ALL:
            break
    return sorted(found)


def _first(path: Path, names: list[str], suffix: str) -> list[Path]:
    return [path / name for name in islice((name for name in names if name.lower().endswith(suffix)), 5)]


def _has_image(path: Path, name: str) -> bool:
    """Return whether there is an image with the name of a file, except for the suffix."""
    stem = Path(name).with_suffix("").as_posix()
    return is_photo(stem) or any((path / f"{stem}{end}").is_file() for end in _usual())


def _usual() -> tuple[str, ...]:
    return tuple(
        end
        for lower in (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
        for end in (lower, lower.upper())
    )


def _has_boxes(file: Path) -> bool:
    """Return whether the lines of a text file are class numbers with at least four coordinates."""
    lines = [line for line in _start(file).splitlines() if line.strip()]
    complete = lines if len(_start(file)) < _START else lines[:-1]
    return bool(complete) and all(_BOX.fullmatch(line) for line in complete)


def _start(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_START)
    except OSError:
        return b""
