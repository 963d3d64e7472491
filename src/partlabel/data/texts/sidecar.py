"""Text files beside the photos, one text per line: `a.txt`, `a.jpg.txt` or `a.caption` for `a.jpg`."""

from pathlib import Path

from partlabel.core.text_files import lines_of
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.texts._matching import TableFile, paths_of


def recognises(source: str) -> bool:
    """Return whether the source is `sidecar`."""
    return source == "sidecar"


def read(source: str, table: LabelTable, file: TableFile) -> list[list[str]]:
    """Read the text files beside each image; lines of numbers (boxes of YOLO) are no texts.

    Raises:
        ValueError: The table has no image folder, or a file is not UTF-8.
    """
    return [texts_beside(path) for path in paths_of(source, table)]


def texts_beside(path: Path) -> list[str]:
    """Return the lines of the text files beside an image."""
    there = (path.with_suffix(".txt"), Path(f"{path}.txt"), path.with_suffix(".caption"))
    return [line for beside in there if beside.is_file() for line in lines_of(beside)]
