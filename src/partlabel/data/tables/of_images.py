"""Label tables without classes, of images alone: what `predict` reads."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from partlabel.core.fixes import Argument
from partlabel.data.tables.label_table import LabelTable

ImageSource = LabelTable | str | Path | Sequence[str | Path]
"""A table, a folder of images, an image, or several images."""


def table_of(source: ImageSource, skip_broken: bool = False) -> LabelTable:
    """Build a table without classes of a folder of images, of an image or of several; a table is returned unchanged."""
    if isinstance(source, LabelTable):
        return source
    if isinstance(source, str | Path):
        if Path(source).is_dir():
            from partlabel.data.images.listing import images_in

            listed = images_in(Path(source), (), skip_broken, Argument("skip_broken", True))
            return LabelTable(tuple(listed), (), np.zeros((len(listed), 0), np.int8), root=Path(source))
        source = [source]
    paths = [os.path.abspath(path) for path in source]
    root = Path(os.path.commonpath([os.path.dirname(path) for path in paths]))
    images = tuple(Path(path).relative_to(root).as_posix() for path in paths)
    return LabelTable(images, (), np.zeros((len(images), 0), np.int8), root=root)
