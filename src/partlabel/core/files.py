"""Atomic writing of files and folders: temporary name first, then renamed (`os.replace` is atomic in a folder)."""

import errno
import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_OF_THE_DISK = frozenset(
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO", "ENAMETOOLONG", "ENOTDIR")
    if hasattr(errno, name)
)
_IN_RUST = re.compile(r"\(os error (\d+)\)|\[Errno (\d+)\]")
"""Patterns of operating system errors inside errors of polars, safetensors and pyarrow."""
_IN_TORCH = re.compile(r"PytorchStreamWriter|unexpected pos|iostream error|write failed")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Provide a temporary file beside `path`, which replaces `path` if the block succeeds and is deleted if it fails.

    Missing parent folders of `path` are created. The name keeps the suffix, which writers inspect.

    Raises:
        OSError: As in `writing`.
    """
    aside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield aside
            os.replace(aside, path)
    finally:
        with suppress(OSError):
            aside.unlink()


def sweep(folder: Path) -> None:
    """Delete incomplete files that killed processes of this machine left in a folder.

    Args:
        folder: Folder of files written by `atomic_write`.
    """
    for left in folder.glob(".*.part*"):
        found = re.search(r"\.(\d+)\.part", left.name)
        if found and not _is_running(int(found[1])):
            with suppress(OSError):
                left.unlink()


def _is_running(process: int) -> bool:
    if os.name != "posix":
        return True  # a signal would end the process on Windows
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # a process of another user
        return True
    return True


@contextmanager
def folder_aside(folder: Path) -> Iterator[Path]:
    """Provide a temporary folder beside `folder`; its files move there if the block succeeds, else they are deleted.

    Raises:
        OSError: Raised in the block, or the folder is not writable; the message names `folder`.
    """
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    try:
        with writing(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            aside.mkdir()
            yield aside
            if not folder.exists():
                os.replace(aside, folder)
            else:
                for file in sorted(aside.iterdir()):
                    os.replace(file, folder / file.name)
    except OSError as error:
        if str(aside) not in str(error):
            raise
        raise OSError(str(error).replace(str(aside), str(folder))) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the file being written in disk errors, whichever library writes it.

    Raises:
        OSError: The disk is full, or the file is not writable.
    """
    try:
        yield
    except Exception as error:
        number = _of_the_disk(error, path)
        if number is None:
            raise
        text = os.strerror(number)
        failed = OSError(f"cannot write {path}: {text[:1].lower()}{text[1:]}")
        raise failed from error


def _of_the_disk(error: Exception, path: Path) -> int | None:
    """Return the number of the operating system error that made writing fail; None for other errors."""
    if isinstance(error, OSError) and error.errno is not None:
        of = error.filename
        elsewhere = of is not None and not os.path.abspath(os.fsdecode(of)).startswith(
            os.path.abspath(path.parent)
        )
        return None if elsewhere or error.errno not in _OF_THE_DISK else error.errno
    text = str(error)
    if found := _IN_RUST.search(text):
        number = int(found[1] or found[2])
        return number if number in _OF_THE_DISK else None
    return errno.ENOSPC if isinstance(error, RuntimeError) and _IN_TORCH.search(text) else None


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: It is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # also if it is not UTF-8
        raise ValueError(f"{path} is not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(
            f"{path} is not a JSON file of partlabel: its brackets are nested too deeply"
        ) from error


def read_tensors(path: Path, load: Callable[[Path], Mapping[str, Any]], remedy: str) -> Mapping[str, Any]:
    """Read a safetensors file.

    Args:
        path: Path of the file.
        load: `load_file` of safetensors, as arrays or as tensors.
        remedy: Fix for a damaged file, for the message.

    Raises:
        ValueError: The file is incomplete, or not a safetensors file.
    """
    from safetensors import SafetensorError

    try:
        return load(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged, or not a safetensors file: {error}; {remedy}") from error


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with atomic_write(path) as aside:
        aside.write_text(
            json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )


def plain(value: Any) -> Any:
    """Replace values that JSON cannot represent (NaN, infinity) by null."""
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
