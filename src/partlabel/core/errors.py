"""The message of an error, whichever library raised it: one sentence without a traceback.

Three kinds are distinguished. *Ours*: raised in this package for its users, printed as written. *A library's*: a full
disk, a damaged file, a setting that the machine does not support; printed as its first line, after the library's name.
*A bug*: everything else; printed with the way to its traceback. Imports none of the libraries it names.
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
    """An invalid option or an invalid configuration file; the message says what would be valid."""


EXPECTED = (UsageError, ValueError, OSError, ImportError, FloatingPointError)
"""Errors that this package raises for invalid input, as opposed to a defect of the program."""
DEBUG = "run the same command with --debug to see where"
_HOME = Path(__file__).resolve().parents[1]
_STANDARD = frozenset(sys.stdlib_module_names) | {"__main__", "pyo3_runtime"}
# Names of import packages that differ from the library's: `lightning_fabric` is a part of Lightning.
_NAMES = {"lightning_fabric": "lightning", "lightning_utilities": "lightning", "pytorch_lightning": "lightning",
          "pydantic_core": "pydantic", "PIL": "Pillow", "google": "protobuf", "sqlite3": "SQLite"}  # fmt: skip
_MEMORY = "give a smaller --batch-size, fewer --workers or smaller images (--image-size)"
_LAST_LINE = re.compile(r"^[\w.]*(?:Error|Exception|Interrupt|Exit): ")


def sentence(error: BaseException) -> str:
    """Return the message of an error for the user.

    Args:
        error: Error that was caught.
    """
    if _is_memory(error):
        return f"out of memory ({first_line(error)}); {_MEMORY}"
    if isinstance(error, InputError | MissingError):
        return error.typed()
    library = _library(error)
    if isinstance(error, OSError) and error.strerror is not None and not _has_own_class(error):
        return _of_file(error)
    if isinstance(error, EXPECTED) and library is None:
        return first_line(error) if _from_elsewhere(error) else _message(error) or type(error).__name__
    if isinstance(error, EXPECTED) or _has_own_class(error):
        return f"{library}: {first_line(error)} ({DEBUG})"
    return f"this is a bug in partlabel ({type(error).__name__}: {first_line(error)}); {DEBUG}, and report it"


def first_line(error: BaseException) -> str:
    """Return the most informative line of an error's message, or its class if it has no message.

    An error from another process carries that process's traceback; the last line is then the most informative.
    """
    message = _message(error)
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return _LAST_LINE.sub("", lines[-1]) if _from_elsewhere(error) else lines[0]


def on_one_line(error: BaseException, most: int = 400) -> str:
    """Return an error's message on one line, truncated if it is long.

    Args:
        error: Error that was caught.
        most: Maximum length in characters.
    """
    message = " ".join(_message(error).split())
    return message if len(message) <= most else f"{message[:most]}..."


def is_broken_pipe(error: BaseException) -> bool:
    """Return whether the reader of the output has closed it, as in `partlabel methods | head -1`."""
    if not isinstance(error, BrokenPipeError):
        return False
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        return True
    return error.filename is None


def to_nowhere() -> None:
    """Redirect the standard output to the null device, so that Python does not complain about it at exit."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError):
        pass


@contextmanager
def naming(path: str | Path, doing: str = "cannot be read") -> Iterator[None]:
    """Add a file's name to every error inside the block; an error of a library becomes a ValueError.

    Args:
        path: File.
        doing: Description of the failure, for messages that lack it.
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
    except BaseException as error:  # polars' panics are not subclasses of Exception
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
    """Format an error of the operating system: the file and the reason, without the error number."""
    if error.filename is None:
        return f"reading or writing failed: {error.strerror} ({DEBUG})"
    return f"{os.fsdecode(error.filename)}: {error.strerror}"


def _message(error: BaseException) -> str:
    """Return an error's message; empty if its class cannot make one."""
    try:
        return str(error).strip()
    except Exception:
        return ""


def _from_elsewhere(error: BaseException) -> bool:
    """Return whether an error came from another process, with its traceback as text."""
    return "Traceback (most recent call last)" in _message(error)


def _is_memory(error: BaseException) -> bool:
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in _message(error)
    )


def _library(error: BaseException) -> str | None:
    """Return the library whose code raised an error, or whose class it is; None for this package and for Python."""
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
    """Return whether an error's class was defined by a library."""
    module = type(error).__module__.partition(".")[0]
    return module == "sqlite3" or module not in ("builtins", "partlabel", *_STANDARD)
