"""Files that appear whole or not at all: written aside, then renamed (`os.replace` is atomic within a folder)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; it takes the place of `path` if the block ends well, else it goes.

    Folders on the way to `path` are made. The name keeps the suffix, which writers look at.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
