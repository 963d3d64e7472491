"""Input sources: rows that are to be divided into shards, or files that are shards; and the source of a path."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from partlabel.core.fixes import Argument
from partlabel.data import readers
from partlabel.data.images.listing import LeftOut, is_photo, walk
from partlabel.data.readers import folder as image_folder
from partlabel.data.readers import wide_csv
from partlabel.data.tables.label_table import Absent, LabelTable
from partlabel.sharded.webdataset import TARS, require_webdataset


@dataclass(frozen=True)
class SourceRows:
    """Input that is to be divided into shards.

    Attributes:
        root: Image folder.
        tables: Function from a number of rows to tables of that many rows, always the same ones in the same order.
    """

    root: Path
    tables: Callable[[int], Iterator[LabelTable]]


@dataclass(frozen=True)
class Files:
    """Input that consists of shards.

    Attributes:
        root: Image folder of parquet tables; tar files contain their images.
        paths: Shards, all in one folder.
    """

    root: Path
    paths: tuple[Path, ...]


def of_table(table: LabelTable) -> SourceRows:
    """Return a table in memory as a source.

    Raises:
        ValueError: It has no image folder.
    """
    table.path(0)

    def parts(rows: int) -> Iterator[LabelTable]:
        return (table[at : at + rows] for at in range(0, len(table), rows))

    return SourceRows(Path(table.root or "."), parts)


def of_path(
    path: Path,
    images: Path | None = None,
    absent: Absent | None = None,
    format: str = "auto",
    **options: Any,
) -> SourceRows | Files:
    """Return the source of a path: shards, a folder of photos, or a label table; a wide table is read shard by shard.

    Args:
        path: A folder of parquet tables or tar files, a tar file, a folder of photos, a photo, or what
            `LabelTable.read` takes.
        images: Image folder that relative paths in tables refer to; default: the folder of the table.
        absent: Meaning of classes that are not mentioned, as in `LabelTable.read`.
        format: Format of a label table, as in `LabelTable.read`.
        **options: Options of the format, as in `LabelTable.read`.

    Raises:
        ValueError: An error of `LabelTable.read`, or a folder holds shards of two kinds.
        FileNotFoundError: The path does not exist.
        ImportError: webdataset, which reads tar files, is not installed.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    if files := _files(path):
        return Files(images or path, files)
    if is_photo(path.name):
        from partlabel.data.tables.of_images import table_of

        return of_table(table_of(path))
    if path.is_file() and (readers.recognise(path, options) if format == "auto" else format) == "wide_csv":
        return SourceRows(
            images or path.parent, lambda rows: wide_csv.tables(path, rows, images, absent, **options)
        )
    if path.is_dir() and (format == "folder" or (format == "auto" and image_folder.recognises(path))):
        skip_broken = bool(options.get("skip_broken", False))
        return SourceRows(path, lambda rows: _walked(path, rows, skip_broken))
    return of_table(LabelTable.read(path, images, format, absent, "keep", **options))


def _files(path: Path) -> tuple[Path, ...]:
    """Return the shards of a path; empty if the path is something else."""
    if path.is_file():
        return require_webdataset(path) if path.name.endswith(TARS) else ()
    if not path.is_dir():
        return ()
    files = sorted(each for each in path.iterdir() if not each.name.startswith("."))
    tars = tuple(each for each in files if each.name.endswith(TARS))
    tables = tuple(each for each in files if each.suffix.lower() == ".parquet")
    if tars and tables:
        raise ValueError(
            f"{path} holds both tar files and parquet tables; keep shards of one kind in a folder"
        )
    return require_webdataset(*tars) if tars else tables


def _walked(folder: Path, rows: int, skip_broken: bool) -> Iterator[LabelTable]:
    """Yield a folder's photos, `rows` at a time."""
    left_out = LeftOut(skip_broken, fix=Argument("skip_broken", True))
    photos = walk(folder, left_out)
    while names := tuple(islice(photos, rows)):
        yield LabelTable(names, (), np.empty((len(names), 0), np.int8), root=folder)
    left_out.warn(folder)
