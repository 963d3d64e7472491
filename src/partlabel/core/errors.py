"""What a person is told of an error, whichever library raised it: one sentence, and no traceback.

Three kinds are told apart. *Ours*: raised in this package for whoever uses it, told as it is written. *A library's*: a
full disk, a damaged file, a setting that a machine does not have; told in its first line, under the library's name.
*A defect*: whatever nobody thought of; told with the way to its traceback. Imports none of the libraries it names.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from traceback import walk_tb

from partlabel.core.fixes import InputError, MissingError


class UsageError(Exception):
    """What was typed, or what a configuration file says, makes no sense; the message says what would."""


EXPECTED = (UsageError, ValueError, OSError, ImportError, FloatingPointError)
"""What this package raises where the input, and not the program, is at fault."""
DEBUG = "run the same command with --debug to see where"
_HOME = Path(__file__).resolve().parent
_STANDARD = frozenset(sys.stdlib_module_names) | {"__main__", "pyo3_runtime"}
# A library says so in its own words: `lightning.fabric.utilities.exceptions` and `lightning_fabric` are one library.
_NAMES = {"lightning_fabric": "lightning", "lightning_utilities": "lightning", "pytorch_lightning": "lightning",
          "pydantic_core": "pydantic", "PIL": "Pillow", "google": "protobuf", "sqlite3": "SQLite"}  # fmt: skip
_MEMORY = "give a smaller --batch-size, fewer --workers or smaller images (--image-size)"
_LAST_LINE = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt|Exit): ")


def sentence(error: BaseException) -> str:
    """Return what a person is told of an error.

    Args:
        error: As it was caught.
    """
    if _is_memory(error):
        return f"out of memory ({first_line(error)}); {_MEMORY}"
    if isinstance(error, InputError | MissingError):
        return error.typed()
    library = _library(error)
    if isinstance(error, OSError) and error.strerror is not None and not _has_own_class(error):
        return _of_file(error)
    if isinstance(error, EXPECTED) and library is None:
        return first_line(error) if _from_elsewhere(error) else _said(error) or type(error).__name__
    if isinstance(error, EXPECTED) or _has_own_class(error):
        return f"{library}: {first_line(error)} ({DEBUG})"
    return (
        f"this is a defect in partlabel ({type(error).__name__}: {first_line(error)}); {DEBUG}, and report it"
    )


def first_line(error: BaseException) -> str:
    """Return the line of an error's message that says most; its class where there is no message.

    An error that came out of another process carries that process's traceback; the last line then says most.
    """
    said = _said(error)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return _LAST_LINE.sub("", lines[-1]) if _from_elsewhere(error) else lines[0]


def on_one_line(error: BaseException, most: int = 400) -> str:
    """Return an error's message on one line, cut off where it is long.

    Args:
        error: As it was caught.
        most: Characters.
    """
    said = " ".join(_said(error).split())
    return said if len(said) <= most else f"{said[:most]}..."


def is_broken_pipe(error: BaseException) -> bool:
    """Whether nobody reads what is printed any more, as in `partlabel methods | head -1`."""
    if not isinstance(error, BrokenPipeError):
        return False
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        return True
    return error.filename is None


def to_nowhere() -> None:
    """Let the standard output end in nothing, so that Python does not complain about it as it ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        pass


@contextmanager
def naming(path: str | Path, doing: str = "cannot be read") -> Iterator[None]:
    """Inside, every error names a file; what a library raises about it becomes a ValueError.

    Args:
        path: The file.
        doing: What failed, where the message itself does not say.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError, ImportError, UsageError):
        raise
    except (InputError, MissingError) as error:
        if str(path) in str(error):
            raise
        raise error.after(f"{path}: ") from error
    except OSError as error:
        if str(path) in str(error):
            raise
        raise type(error)(f"{path}: {error.strerror or first_line(error)}") from error
    except BaseException as error:  # polars' panics are no Exception
        ours = (
            isinstance(error, ValueError) and not isinstance(error, UnicodeError) and _library(error) is None
        )
        if ours and str(path) in str(error):
            raise
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(
            f"{path}: {error}" if ours else f"{path}: {doing}: {kind}{first_line(error)}"
        ) from error


def _of_file(error: OSError) -> str:
    """Of an error of the system: the file, and why, without its number."""
    if error.filename is None:
        return f"reading or writing failed: {error.strerror} ({DEBUG})"
    return f"{os.fsdecode(error.filename)}: {error.strerror}"


def _said(error: BaseException) -> str:
    """An error's message; nothing where its class cannot make one."""
    try:
        return str(error).strip()
    except Exception:
        return ""


def _from_elsewhere(error: BaseException) -> bool:
    """Whether an error came out of another process, with its traceback as text."""
    return "Traceback (most recent call last)" in _said(error)


def _is_memory(error: BaseException) -> bool:
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in _said(error)
    )


def _library(error: BaseException) -> str | None:
    """The library whose code raised an error, or whose class it is; None if it is this package's or Python's own."""
    of_class = type(error).__module__.partition(".")[0]
    if of_class not in ("builtins", "partlabel", *_STANDARD):
        return _NAMES.get(of_class, of_class)
    if of_class == "sqlite3":
        return "SQLite"
    frames = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    for file in reversed(frames):
        if Path(file).is_relative_to(_HOME):
            return None
        parts = Path(file).parts
        for home in ("site-packages", "dist-packages"):
            if home in parts[:-1]:
                name = parts[parts.index(home) + 1].removesuffix(".py")
                return _NAMES.get(name, name)
    return None


def _has_own_class(error: BaseException) -> bool:
    """Whether an error's class is a library's own, made for those who use it."""
    module = type(error).__module__.partition(".")[0]
    return module == "sqlite3" or module not in ("builtins", "partlabel", *_STANDARD)
