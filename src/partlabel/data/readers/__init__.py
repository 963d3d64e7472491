"""Readers of annotation formats: each file is one format, and a file added here provides `--format <its name>`.

Every public module of this folder has `ABSENCE`, one sentence for each rule that describes which labels are read as
absent, and two functions:

- `recognises(path) -> bool`: whether the file or folder looks like its format, judged by names and the first lines
  only; it may take those options of `read` that it needs for this (`separator`);
- `read(path, images=None, absent=None, *, <options>) -> LabelTable`.

A reader of tables also has `understood(path, images, **options) -> Understood`: how it interpreted the columns.

`absent` is the meaning of a class that is not mentioned: `unknown` (not annotated) or `negative` (annotated as absent).
A format that lists only present classes requires it. Other codes (VOC's 1 / -1 / 0, NaN) are converted to PRESENT,
ABSENT and UNKNOWN here and nowhere else.
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

__all__ = ["absence", "all_options", "get", "names", "options_of", "read", "recognise", "understood"]

_SHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers")


def names() -> list[str]:
    """Return the names of all formats in alphabetical order."""
    return registry.names(__name__)


def get(name: str) -> Callable[..., LabelTable]:
    """Return the `read` function of a format.

    Raises:
        ValueError: The format does not exist; the message suggests the most similar name.
    """
    return _module(name).read


def absence(name: str, absent: Absent | None) -> str:
    """Describe in one sentence which labels a format's reader reads as absent.

    Args:
        name: Name of the format.
        absent: Rule that the reader was given; None for the format's own rule.
    """
    return _module(name).ABSENCE[absent or "unknown"]


def all_options() -> dict[str, inspect.Parameter]:
    """Return the options of all readers by name; an option has the same meaning in all of them."""
    found: dict[str, inspect.Parameter] = {}
    for name in names():
        for option in options_of(name):
            found.setdefault(option.name, option)
    return found


def options_of(name: str) -> list[inspect.Parameter]:
    """Return the options of the reader of a format.

    Args:
        name: Name of the format.
    """
    return list(inspect.signature(get(name)).parameters.values())[3:]


def understood(name: str, path: Path, images: Path | None, options: Mapping[str, Any]) -> Understood | None:
    """Return how the columns of a table were interpreted; None for formats without columns.

    Args:
        name: Name of the format.
        path: Annotation file, already read once.
        images: Image folder.
        options: Options of the reader.
    """
    understand = getattr(_module(name), "understood", None)
    return None if understand is None else understand(path, images, **options)


def recognise(path: Path, options: Mapping[str, Any] | None = None) -> str:
    """Detect the format of a file or folder.

    Args:
        path: Annotation file or folder.
        options: Options for the reader; formats that accept these options are tried first.

    Raises:
        ValueError: No format fits, or several do.

    Warns:
        UserWarning: A folder is read as images without labels although it contains files that look like labels.
    """
    from partlabel.data.readers import _folders

    refuse_pipe(path)
    options = options or {}
    able = [name for name in names() if options.keys() <= {each.name for each in options_of(name)}]
    with naming(path):
        found = [name for name in able if _looks_like(name, path, options)]
        others = [name for name in names() if name not in able]
        found = found or [name for name in others if _looks_like(name, path, options)]
    if len(found) == 1:
        if found == ["folder"] and path.is_dir():
            _folders.tell(path)
        return found[0]
    guess = f"may be {' or '.join(found)}" if found else "has no known format"
    sheet = ". Save a spreadsheet as CSV in UTF-8" if path.suffix.lower() in _SHEETS else ""
    raise InputError(
        f"{path} {guess}; choose one with ", Argument("format"), f": {', '.join(found or names())}{sheet}"
    )


def _looks_like(name: str, path: Path, options: Mapping[str, Any]) -> bool:
    """Return whether a reader recognises a path, given those of the options that it needs to inspect the file."""
    recognises = _module(name).recognises
    needs = [option for option in inspect.signature(recognises).parameters if option in options]
    return recognises(path, **{option: options[option] for option in needs})


def read(
    path: Path, images: Path | None, format: str, absent: Absent | None, options: Mapping[str, Any]
) -> LabelTable:
    """Read a table with the reader of the given format, or with the detected one; see `LabelTable.read`.

    Warns:
        UserWarning: Some classes have no present label although labels are known.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no {path}")
    name = recognise(path, options) if format == "auto" else format
    reader = get(name)
    _check_options(name, options)
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
            "they cannot be learned. Check their names, or remove them",
            stacklevel=3,
        )
    return table


def refuse_pipe(path: Path) -> None:
    """Refuse pipes and devices, because their content may never end.

    Raises:
        ValueError: The path is neither a file nor a folder.
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


def _check_options(name: str, options: Mapping[str, Any]) -> None:
    takes = [option.name for option in options_of(name)]
    for option in options:
        if option not in takes:
            raise ValueError(
                f"the {name} reader takes no option {option!r}{did_you_mean(option, takes)}; "
                f"it takes: {', '.join(takes) or 'none'}"
            )
