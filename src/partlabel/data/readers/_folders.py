"""What lies in a folder besides images: which reader takes it, and what the user is told where none does by itself."""

import re
import warnings
from pathlib import Path

from partlabel.data.listing import is_photo
from partlabel.data.readers import _json, _xml
from partlabel.data.readers._beside import files_in, first_files
from partlabel.text import some

_BOX = re.compile(rb"\s*\d+(\s+[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?){4,}\s*")
_TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson")
_START = 1 << 14  # bytes of a file that are looked at


def kinds(path: Path) -> list[str]:
    """Return the formats of label files that a folder has, by the first files of each kind.

    Args:
        path: A folder; anything else has none.
    """
    if not path.is_dir():
        return []
    if (path / "ImageSets" / "Main").is_dir():
        return ["voc"]
    if any((path / f"{name}_list_500.txt").exists() for name in ("train", "test")):
        return ["visual_genome"]
    found = []
    names = [file for file in path.iterdir() if file.suffix.lower() in (".yaml", ".yml")]
    if any(map(has_names, names)) or any(_has_boxes(file) for file in first_files(path, ".txt")):
        found.append("yolo")
    if any(
        _xml.starts_with(file, "annotation>") or _xml.starts_with(file, "annotation ")
        for file in first_files(path, ".xml")
    ):
        found.append("voc_flat")
    if any(b'"shapes"' in _start(file) and b'"label"' in _start(file) for file in first_files(path, ".json")):
        found.append("labelme")
    return found


def has_names(file: Path) -> bool:
    """Return whether a YAML file has the key `names`, as YOLO's has.

    Args:
        file: The file.
    """
    return re.search(rb"^[\"']?names[\"']?\s*:", _start(file), re.MULTILINE) is not None


def tell(path: Path) -> None:
    """Say what lies in a folder that is read as images without labels.

    Args:
        path: The folder.

    Warns:
        UserWarning: It has files that look like labels, or its images lie in folders that may be classes.
    """
    said = [*_tables_in(path), *_beside_images(path), *_class_folders(path)]
    if said:
        warnings.warn(
            f"{path}: read as images without any label, although {'; '.join(said)}",
            stacklevel=3,
        )


def _tables_in(path: Path) -> list[str]:
    """Return what to say of annotation files that lie in the folder."""
    said = []
    for name in files_in(path, "", 200):
        file = path / name
        format = None
        if name.lower().endswith(_TABLES):
            format = "auto"
        elif name.lower().endswith(".json") and not _has_image(path, name):
            format = _json.kind(file)
        elif name.lower().endswith(".xml") and _xml.starts_with(file, "annotations"):
            format = "cvat"
        if format:
            how = "" if format == "auto" else f" --format {format}"
            said.append(f"{name} looks like a label file: name it instead of the folder ({file}{how})")
        if len(said) == 3:
            break
    return said


def _beside_images(path: Path) -> list[str]:
    """Return what to say of texts and JSON files beside images."""
    for suffix in (".txt", ".json"):
        beside = [name for name in files_in(path, suffix, 200) if _has_image(path, name)]
        if beside:
            return [f"{beside[0]} lies beside an image: --format sidecar reads such files"]
    return []


def _class_folders(path: Path) -> list[str]:
    """Return what to say of folders that may be classes: all images are in folders, and there are several."""
    images = [name for name in files_in(path, "", 200) if is_photo(name)]
    folders = sorted({name.split("/")[0] if "/" in name else "" for name in images})
    if len(folders) < 2 or "" in folders:
        return []
    return [
        f"its images lie in {len(folders)} folders ({some(folders, 3)}): if each is a class, --format class_folders "
        "reads them"
    ]


def _has_image(path: Path, name: str) -> bool:
    """Return whether an image has the name of a file, but for the suffix."""
    stem = Path(name).with_suffix("").as_posix()
    return is_photo(stem) or any((path / f"{stem}{end}").is_file() for end in _usual())


def _usual() -> tuple[str, ...]:
    return tuple(
        end
        for lower in (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
        for end in (lower, lower.upper())
    )


def _has_boxes(file: Path) -> bool:
    """Return whether the lines of a text file are a class number and at least four coordinates."""
    lines = [line for line in _start(file).splitlines() if line.strip()]
    complete = lines if len(_start(file)) < _START else lines[:-1]
    return bool(complete) and all(_BOX.fullmatch(line) for line in complete)


def _start(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_START)
    except OSError:
        return b""
