"""Sources of texts that accompany photos: each file is one source, and `attach` gives its texts to a label table.

Every public module of this folder has two functions, except that one with `DROPS = True`, which drops the texts before
it, needs no `read`:

- `recognises(source) -> bool`: whether what the user wrote (`captions.csv`, `column:notes`, `exif`) is this source;
- `read(source, table, file) -> list[list[str]]`: the texts of each image of the table.
"""

import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from partlabel.core import registry
from partlabel.core.messages import did_you_mean
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.text_cells import clean
from partlabel.data.texts._matching import TableFile

__all__ = ["TableFile", "attach", "find", "names"]


def names() -> list[str]:
    """Return the names of all sources in alphabetical order."""
    return registry.names(__name__)


def attach(
    table: LabelTable,
    sources: Sequence[str],
    label_file: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> LabelTable:
    """Return the table with the texts of some sources, after those that it has.

    Args:
        table: Label table.
        sources: Sources in their order: a file of captions (CSV, TSV, parquet, JSON, JSON Lines; `captions.csv:notes`
            names a column of it), `column:NAME` of the label file, `exif`, `filename`, `folder`, `sidecar`, or `none`,
            which drops the texts before it.
        label_file: File that the table was read from, for `column:NAME`.
        options: Options that its reader was given.

    Raises:
        ValueError: There is no such source, its file cannot be read, or it names no image of the table.
        FileNotFoundError: There is no such file.

    Warns:
        UserWarning: Images have no text, rows name no image of the table, or texts were cut.
    """
    file = TableFile(None if label_file is None else Path(label_file), dict(options or {}))
    for source in sources:
        module = find(source)
        if getattr(module, "DROPS", False):
            table = table.with_texts(None)
            continue
        found = clean(source, module.read(source, table, file))
        blank = sum(not of_image for of_image in found)
        if blank:
            warnings.warn(f"{source}: {blank:,} of {len(table):,} photos have no text there", stacklevel=2)
        if blank < len(found):
            before = table.texts or ((),) * len(table)
            table = table.with_texts([(*old, *new) for old, new in zip(before, found, strict=True)])
    return table


def find(source: str) -> ModuleType:
    """Return the module of a source.

    Raises:
        ValueError: There is none; the message suggests the most similar name.
        FileNotFoundError: The source looks like a path, and there is no such file.
    """
    for name in names():
        module = _module(name)
        if module.recognises(source):
            return module
    if "/" in source or Path(source).suffix:
        raise FileNotFoundError(f"there is no file of texts {source}")
    known = [*(name for name in names() if _module(name).recognises(name)), "column:NAME"]
    raise ValueError(
        f"there is no source of texts {source!r}{did_you_mean(source, known)}; there are: {', '.join(known)}, and "
        "files such as captions.csv"
    )


def _module(name: str) -> Any:
    if name in registry.plugins(__name__):
        return registry.load_plugin(__name__, name)
    return import_module(f"{__name__}.{name}")
