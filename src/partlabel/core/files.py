"""Files and folders that appear whole or not at all: written aside, then renamed, which is atomic in a folder."""

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
"""How polars, safetensors and pyarrow say an error of the system, in errors of their own."""
_IN_TORCH = re.compile(r"PytorchStreamWriter|unexpected pos|iostream error|write failed")


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A file beside `path` to write to; it takes the place of `path` if the block ends well, else it goes.

    Folders on the way to `path` are made. The name keeps the suffix, which writers look at.

    Raises:
        OSError: As `writing`.
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
    """Delete what processes of this machine that were killed left half-written in a folder.

    Args:
        folder: Of files written by `written_aside`.
    """
    for left in folder.glob(".*.part*"):
        found = re.search(r"\.(\d+)\.part", left.name)
        if found and not _is_running(int(found[1])):
            with suppress(OSError):
                left.unlink()


def _is_running(process: int) -> bool:
    if os.name != "posix":
        return True  # to ask would end it
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


@contextmanager
def folder_aside(folder: Path) -> Iterator[Path]:
    """A folder beside `folder` to fill; its files take their places there if the block ends well, else all of it goes.

    Raises:
        OSError: As the block, or the folder may not be written; the message names `folder`.
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
    """Inside, an error of the disk names the file that is written, whichever library writes it.

    Raises:
        OSError: The disk is full, or the file may not be written.
    """
    try:
        yield
    except Exception as error:
        number = _of_the_disk(error, path)
        if number is None:
            raise
        said = os.strerror(number)
        failed = OSError(f"cannot write {path}: {said[:1].lower()}{said[1:]}")
        raise failed from error


def _of_the_disk(error: Exception, path: Path) -> int | None:
    """The number of the system's error behind one of writing; None if it is of something else."""
    if isinstance(error, OSError) and error.errno is not None:
        of = error.filename
        elsewhere = of is not None and not os.path.abspath(os.fsdecode(of)).startswith(
            os.path.abspath(path.parent)
        )
        return None if elsewhere or error.errno not in _OF_THE_DISK else error.errno
    said = str(error)
    if found := _IN_RUST.search(said):
        number = int(found[1] or found[2])
        return number if number in _OF_THE_DISK else None
    return errno.ENOSPC if isinstance(error, RuntimeError) and _IN_TORCH.search(said) else None


def read_json(path: Path) -> Any:
    """What a JSON file says.

    Raises:
        ValueError: It is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not UTF-8 among them
        raise ValueError(f"{path} is not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{path} is not JSON of ours: its brackets are nested too deep") from error


def read_tensors(path: Path, load: Callable[[Path], Mapping[str, Any]], mend: str) -> Mapping[str, Any]:
    """What a safetensors file holds.

    Args:
        path: The file.
        load: `load_file` of safetensors, as arrays or as tensors.
        mend: What to do where it is damaged.

    Raises:
        ValueError: It is cut off, or something else.
    """
    from safetensors import SafetensorError

    try:
        return load(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged, or no safetensors file: {error}; {mend}") from error


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with atomic_write(path) as aside:
        aside.write_text(
            json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )


def plain(value: Any) -> Any:
    """As JSON can say it: what is no number, or has no bound, is null."""
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
