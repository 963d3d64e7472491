"""Readers: one file is one annotation format, and dropping a file in here makes `--format <its name>` exist.

Every public module of this folder has `ABSENCE`, a sentence for each rule that says what is absent, and two functions:

- `recognises(path) -> bool`: whether the file or folder looks like its format, by names and the first lines alone; it
  may take options of `read` that it needs for that (`separator`);
- `read(path, images=None, absent=None, *, <options>) -> LabelTable`.

A reader of tables also has `understood(path, images, **options) -> Understood`: what it took the columns for.

`absent` says what a class that is not mentioned means: `unknown` (nobody said) or `negative` (somebody looked, and it
is not there). A format that lists only what is there requires it. Other codes (VOC's 1 / -1 / 0, NaN) are turned into
PRESENT, ABSENT and UNKNOWN here and nowhere else.
"""

import inspect
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from partlabel.core import registry
from partlabel.core.errors import naming
from partlabel.core.fixes import Argument, InputError, MissingError
from partlabel.core.messages import did_you_mean, some
from partlabel.data.readers._roles import Understood
from partlabel.data.tables.label_table import Absent, LabelTable

__all__ = ["absence", "all_options", "get", "names", "read", "recognise", "understood"]

_SHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")


def names() -> list[str]:
    """The names of all formats, in alphabetical order."""
    return registry.names(__name__)


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


def all_options() -> dict[str, inspect.Parameter]:
    """The options of all readers by name; what one name means is the same in all of them."""
    found: dict[str, inspect.Parameter] = {}
    for name in names():
        for option in _options_of(get(name)):
            found.setdefault(option.name, option)
    return found


def understood(name: str, path: Path, images: Path | None, options: Mapping[str, Any]) -> Understood | None:
    """What the columns of a table were taken for; None for formats without columns.

    Args:
        name: Of the format.
        path: The file, which was read before.
        images: The image folder.
        options: Those of the reader.
    """
    told = getattr(_module(name), "understood", None)
    return None if told is None else told(path, images, **options)


def recognise(path: Path, options: Mapping[str, Any] | None = None) -> str:
    """Find the format that a file or folder has.

    Args:
        path: The file or folder.
        options: What the reader is to be given: formats that take these options are looked at first.

    Raises:
        ValueError: None, or several.

    Warns:
        UserWarning: A folder is taken for images without labels, and has what looks like labels.
    """
    from partlabel.data.readers import _folders

    refuse_pipe(path)
    options = options or {}
    able = [name for name in names() if options.keys() <= {each.name for each in _options_of(get(name))}]
    with naming(path):
        found = [name for name in able if _looks_like(name, path, options)]
        others = [name for name in names() if name not in able]
        found = found or [name for name in others if _looks_like(name, path, options)]
    if len(found) == 1:
        if found == ["folder"] and path.is_dir():
            _folders.tell(path)
        return found[0]
    said = f"may be {' or '.join(found)}" if found else "is of no format that is known"
    sheet = ". Save a spreadsheet as CSV in UTF-8" if path.suffix.lower() in _SHEETS else ""
    raise InputError(
        f"{path} {said}; say which with ", Argument("format"), f": {', '.join(found or names())}{sheet}"
    )


def _looks_like(name: str, path: Path, options: Mapping[str, Any]) -> bool:
    """Whether a reader recognises a path; it is given those options that it needs to look at the file."""
    recognises = _module(name).recognises
    needs = [option for option in inspect.signature(recognises).parameters if option in options]
    return recognises(path, **{option: options[option] for option in needs})


def _options_of(reader: Callable[..., LabelTable]) -> list[inspect.Parameter]:
    return list(inspect.signature(reader).parameters.values())[3:]


def read(
    path: Path, images: Path | None, format: str, absent: Absent | None, options: Mapping[str, Any]
) -> LabelTable:
    """Read with the reader of that format, or with the one that recognises the file; see `LabelTable.read`.

    Warns:
        UserWarning: Labels are known, and some classes are never present.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    name = recognise(path, options) if format == "auto" else format
    reader = get(name)
    _check_options(name, reader, options)
    refuse_pipe(path)
    try:
        with naming(path, f"cannot be read as {name}"):
            table = reader(path, images, absent, **options)
    except (InputError, MissingError) as error:
        error.format = error.format or name
        raise
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
    if name in registry.plugins(__name__):
        return registry.load_plugin(__name__, name)
    return import_module(f"{__name__}.{name}")


def _check_options(name: str, reader: Callable[..., LabelTable], options: Mapping[str, Any]) -> None:
    takes = [option.name for option in _options_of(reader)]
    for option in options:
        if option not in takes:
            raise ValueError(
                f"the {name} reader takes no option {option!r}{did_you_mean(option, takes)}; "
                f"it takes: {', '.join(takes) or 'none'}"
            )
