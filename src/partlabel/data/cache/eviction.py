"""The folder of caches: locks of its users, and deletion of old caches when it grows beyond its limit.

Each *view* is a folder. A process that uses a view holds a shared lock on a file in it, and one that computes it an
exclusive lock on another file; the system releases both when the process ends, in whatever way. Views that are not in
use can be deleted, the least recently used first. Where shared locks are missing (Windows, some network drives) nothing
is deleted; where exclusive ones are, too, two processes that compute the same view at the same time both compute all of
it, with the same result.
"""

import json
import os
import shutil
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from partlabel.core.messages import shown_bytes
from partlabel.core.progress_bar import say
from partlabel.data.cache.shard_file import DESCRIPTION, Layout

# `filelock` offers no shared lock that ends with the process: its own need SQLite or a heartbeat.
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

IN_USE, COMPUTING, CHANGING = "in-use.lock", "computing.lock", ".lock"


class CachedView:
    """A folder of features that is in use, and therefore kept, as long as this object lives.

    Args:
        path: Folder of the view.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        lock = os.open(path / IN_USE, os.O_RDWR | os.O_CREAT, 0o666)
        weakref.finalize(self, os.close, lock)
        os.utime(path / IN_USE)
        if fcntl is not None:
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_SH)


def reserve(home: Path, layouts: Mapping[str, Layout], limit: int | None = None) -> list[CachedView]:
    """Create the folders of views where they do not exist, and make room for what has to be computed.

    Args:
        home: Folder of caches.
        layouts: Layout of each view, by name.
        limit: Maximum size of all caches in bytes; other views are deleted for that, except those in use.

    Raises:
        ValueError: The views alone exceed the limit.
        OSError: Other views in use take too much of the limit, or the disk is too full.
    """
    names, needed = list(layouts), sum(layout.bytes for layout in layouts.values())
    largest = max(layouts.values())
    needs = (
        f"the feature cache needs {shown_bytes(needed)} ({len(names)} view{'s' * (len(names) != 1)} of "
        f"{largest.rows:,} images, {shown_bytes(largest.row_bytes)} each)"
    )
    if limit is not None and needed > limit:
        raise ValueError(
            f"{needs}, and --cache-size allows {shown_bytes(limit)}: {_remedy(needed, names, limit)}"
        )
    home.mkdir(parents=True, exist_ok=True)
    with locked(home / CHANGING):
        if limit is not None:
            others = [path for path in _views(home) if path.name not in names]
            in_use = sum(_promised(path) for path in others if not _deletable(path))
            if in_use + needed > limit:
                raise OSError(
                    f"{needs}, --cache-size allows {shown_bytes(limit)}, and {shown_bytes(in_use)} in {home} are in "
                    "use: wait for the other runs, or give another --cache-dir or --cache-size "
                    f"{shown_bytes(in_use + needed)}"
                )
            _delete([path for path in others if _deletable(path)], limit - in_use - needed)
        present = sum(_on_disk(home / name) for name in names)
        free = shutil.disk_usage(home).free
        if needed - present > free:
            raise OSError(
                f"{needs}, and the disk of {home} has {shown_bytes(free)} left: give a --cache-dir on another disk, "
                "fewer --cache-views, a --cache-size (older views are then deleted), or --cache none"
            )
        for name, layout in layouts.items():
            if not (home / name / DESCRIPTION).exists():
                layout.describe(home / name)  # creates the folder, too
        return [CachedView(home / name) for name in names]


@contextmanager
def computing(view: CachedView) -> Iterator[None]:
    """Exclude other processes from computing this view, and delete half-written shards of killed processes."""
    with locked(view.path / COMPUTING, f"Waiting for the process that computes {view.path}") as alone:
        if alone:
            for left in view.path.glob(".*.part.npy"):
                left.unlink(missing_ok=True)
        yield


def _remedy(needed: int, names: Sequence[str], limit: int) -> str:
    fit = limit * len(names) // needed
    fewer = f", or --cache-views {fit}" if fit else ""
    return f"give --cache-size {shown_bytes(needed)}{fewer}, a smaller --image-size, or --cache none"


def _views(home: Path) -> list[Path]:
    """List the views in a folder, the least recently used first."""
    return [file.parent for file in sorted(home.glob(f"*/{IN_USE}"), key=lambda file: file.stat().st_mtime)]


def _on_disk(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.npy"))


def _promised(folder: Path) -> int:
    """Return the size in bytes of a view once it is complete."""
    try:
        return int(json.loads((folder / DESCRIPTION).read_text())["bytes"])
    except (OSError, ValueError):
        return _on_disk(folder)


def _delete(views: Sequence[Path], room: int) -> None:
    """Delete views in order until the others fit."""
    left = {folder: _on_disk(folder) for folder in views}
    for folder in views:
        if sum(left.values()) <= room:
            return
        shutil.rmtree(folder)
        del left[folder]


def _deletable(folder: Path) -> bool:
    """Return whether no process uses a view; if that is not certain, it is not deletable."""
    if fcntl is None:
        return False
    with open(folder / IN_USE) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
    return True


@contextmanager
def locked(path: Path, waiting: str = "") -> Iterator[bool]:
    """Exclude other processes from a block; yields whether that is certain.

    Args:
        path: File to lock.
        waiting: Message to print while another process holds the lock.
    """
    path.touch()  # for all who may write in the folder; FileLock would create it for its owner
    lock = FileLock(path)
    alone = _acquire(lock, waiting)
    try:
        yield alone
    finally:
        lock.release()


def _acquire(lock: FileLock, waiting: str) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if waiting:
            say(waiting)
        lock.acquire()
    except (OSError, NotImplementedError):  # this file system has no locks
        return False
    return True
