"""Shards of the feature cache: float16 arrays larger than memory, mapped from `.npy` files with a checksum at the end.

A shard is written to a temporary file and then renamed, so that every existing shard was complete when it was written.
Its size and checksum show whether it still is: later damage (a power failure, an incomplete copy, a bad disk) is
detected, and only that shard is lost. `numpy.load` reads shards too.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from io import BytesIO
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float16, Int

from partlabel.core.files import atomic_write

CHECKSUM = 16
"""Bytes of the checksum at a shard's end."""
BLOCK = 1 << 22
DESCRIPTION = "view.json"


class Layout(NamedTuple):
    """The division of an array into shards.

    Attributes:
        rows: Number of rows of the array.
        shape: Shape of a row.
        per_shard: Rows per shard; the last may have fewer.
    """

    rows: int
    shape: tuple[int, ...]
    per_shard: int

    @property
    def shards(self) -> int:
        """Number of shards."""
        return ceil(self.rows / self.per_shard)

    @property
    def row_bytes(self) -> int:
        """Size of a row in bytes."""
        return 2 * int(np.prod(self.shape))

    @property
    def bytes(self) -> int:
        """Size of all shards in bytes."""
        return sum(self.shard_bytes(number) for number in range(self.shards))

    def of(self, number: int) -> range:
        """Return the rows of a shard."""
        return range(number * self.per_shard, min((number + 1) * self.per_shard, self.rows))

    def shard_bytes(self, number: int) -> int:
        """Return the size of a complete shard in bytes."""
        rows = len(self.of(number))
        return len(_header((rows, *self.shape))) + rows * self.row_bytes + CHECKSUM

    def describe(self, folder: Path, **more: Any) -> None:
        """Write the description that `Sharded` reads, with further properties."""
        with atomic_write(folder / DESCRIPTION) as aside:
            aside.write_text(json.dumps({**self._asdict(), "bytes": self.bytes, **more}, indent=2))


def shard_path(folder: Path, number: int) -> Path:
    """Return the path of a shard."""
    return folder / f"{number:05}.npy"


@contextmanager
def written(path: Path, shape: tuple[int, ...]) -> Iterator[Callable[[np.ndarray], None]]:
    """Write a shard, which appears at `path` only if the block ends without an error.

    Args:
        path: Path of the shard.
        shape: Shape of all its rows together.

    Yields:
        A function that writes the next rows.
    """
    digest = blake2b(digest_size=CHECKSUM)
    # Written, not memory-mapped: on a full disk a write raises an error, but a mapping kills the process.
    with atomic_write(path) as aside, open(aside, "wb") as file:

        def put(data: bytes) -> None:
            digest.update(data)
            file.write(data)

        put(_header(shape))
        yield lambda rows: put(np.ascontiguousarray(rows, np.float16).tobytes())
        file.write(digest.digest())
        file.flush()


def fault(folder: Path, layout: Layout, number: int) -> str | None:
    """Read a shard and return what is wrong with it in a few words; None if it is as it was written."""
    path = shard_path(folder, number)
    if not path.exists():
        return "missing"
    size, expected = path.stat().st_size, layout.shard_bytes(number)
    if size != expected:
        return f"{size:,} bytes in place of {expected:,}"
    digest, left = blake2b(digest_size=CHECKSUM), size - CHECKSUM
    with open(path, "rb") as file:
        while left:
            block = file.read(min(BLOCK, left))
            digest.update(block)
            left -= len(block)
        return None if file.read() == digest.digest() else "a wrong checksum"


class Sharded:
    """The rows of an array in shards, memory-mapped.

    Args:
        folder: Folder of the shards and their description.
    """

    def __init__(self, folder: Path) -> None:
        known = json.loads((folder / DESCRIPTION).read_text())
        self.layout = Layout(known["rows"], tuple(known["shape"]), known["per_shard"])
        mapped = [np.load(shard_path(folder, number), mmap_mode="r") for number in range(self.layout.shards)]
        self._shards = [np.asarray(shard) for shard in mapped]  # indexing a plain array is faster

    def is_nan(self, row: int) -> bool:
        """Return whether a row is NaN, which marks an image that cannot be read."""
        shard, within = divmod(row, self.layout.per_shard)
        return bool(np.isnan(self._shards[shard][within].flat[0]))

    def take(self, rows: Int[np.ndarray, " row"]) -> Float16[np.ndarray, "row *shape"]:
        """Copy some rows."""
        found = np.empty((len(rows), *self.layout.shape), np.float16)
        for place, (shard, row) in enumerate(zip(*np.divmod(rows, self.layout.per_shard), strict=True)):
            found[place] = self._shards[shard][row]
        return found


def _header(shape: tuple[int, ...]) -> bytes:
    text = BytesIO()
    about = {"descr": "<f2", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(text, about)
    return text.getvalue()
