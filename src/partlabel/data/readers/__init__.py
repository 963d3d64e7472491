"""Readers: one file is one annotation format, and dropping a file in here makes `--format <its name>` exist.

Every public module of this folder has `ABSENCE`, a sentence for each rule that says what is absent, and two functions:

- `recognises(path) -> bool`: whether the file or folder looks like its format, by names and the first lines alone;
- `read(path, images=None, absent=None, *, <options>) -> LabelTable`.

`absent` says what a class that is not mentioned means: `unknown` (nobody said) or `negative` (somebody looked, and it
is not there). A format that lists only what is there requires it. Other codes (VOC's 1 / -1 / 0, NaN) are turned into
PRESENT, ABSENT and UNKNOWN here and nowhere else.
"""

import inspect
import pkgutil
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from partlabel.data.table import Absent, LabelTable
from partlabel.errors import naming
from partlabel.text import did_you_mean, some

__all__ = ["absence", "get", "names", "read", "recognise"]


def names() -> list[str]:
    """The names of all formats, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def get(name: str) -> Callable[..., LabelTable]:
    """The `read` function of a format.

    Raises:
        ValueError: There is no such format; the message names the nearest.
    """
    return _module(name).read


def absence(name: str, absent: Absent | None) -> str:
    """What a format's reader takes to be absent, in a sentence.

    Args:
        name: Of the format.
        absent: The rule it was given; the format's own, where none was needed.
    """
    return _module(name).ABSENCE[absent or "unknown"]


def recognise(path: Path) -> str:
    """The name of the format that a file or folder looks like.

    Raises:
        ValueError: None, or several.
    """
    refuse_pipe(path)
    with naming(path):
        found = [name for name in names() if _module(name).recognises(path)]
    if len(found) != 1:
        said = f"may be {' or '.join(found)}" if found else "is of no format that is known"
        raise ValueError(f"{path} {said}; say which with format=: {', '.join(names())}")
    return found[0]


def read(
    path: Path, images: Path | None, format: str, absent: Absent | None, options: Mapping[str, Any]
) -> LabelTable:
    """Read with the reader of that format, or with the one that recognises the file; see `LabelTable.read`.

    Warns:
        UserWarning: Labels are known, and some classes are never present.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    name = recognise(path) if format == "auto" else format
    reader = get(name)
    _check_options(name, reader, options)
    refuse_pipe(path)
    with naming(path, f"cannot be read as {name}"):
        table = reader(path, images, absent, **options)
    never = table.never_present()
    if never and table.known:
        warnings.warn(
            f"{path}: {len(never)} of {len(table.classes)} classes are never present: {some(map(repr, never))}; "
            "nothing can be learned of them. Check their names, or drop them",
            stacklevel=3,
        )
    return table


def refuse_pipe(path: Path) -> None:
    """See that a path names a file or a folder, for what is read from a pipe or a device may have no end.

    Raises:
        ValueError: It names something else.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError(f"{path} is a pipe or a device; write what it gives to a file first")


def _module(name: str) -> ModuleType:
    if name not in names():
        raise ValueError(
            f"there is no format {name!r}{did_you_mean(name, names())}; there are: {', '.join(names())}"
        )
    return import_module(f"{__name__}.{name}")


def _check_options(name: str, reader: Callable[..., LabelTable], options: Mapping[str, Any]) -> None:
    takes = list(inspect.signature(reader).parameters)[3:]
    for option in options:
        if option not in takes:
            raise ValueError(
                f"the {name} reader takes no option {option!r}{did_you_mean(option, takes)}; "
                f"it takes: {', '.join(takes) or 'none'}"
            )
