"""Near-duplicate images, by difference hashes: whether each cell of a small grey image is lighter than the next.

A hash has 8 x 8 comparisons to the right and 8 x 8 downwards (Krawetz's dHash, both ways). Resizing, recompression and
small changes of colour leave nearly all of them as they are.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int64
from PIL import Image

BITS = 128
_FLAT = 4  # grey levels: an image with less contrast is left out, since its hash is chance


def difference_hash(image: Image.Image) -> Bool[np.ndarray, "bit"] | None:
    """The hash of an image; None where it shows next to nothing but one colour."""
    grey = np.asarray(image.convert("L").resize((9, 9), Image.Resampling.BOX), np.int16)
    if int(np.ptp(grey)) < _FLAT:
        return None
    right, down = np.diff(grey[:8], axis=1) > 0, np.diff(grey[:, :8], axis=0) > 0
    return np.concatenate([right.ravel(), down.ravel()])


def groups(hashes: Sequence[Bool[np.ndarray, "bit"] | None], most: int) -> list[list[int]]:
    """Images whose hashes differ in few bits, put together where one leads to the other.

    Of two hashes that differ in at most `most` bits, one of `most` + 1 stretches is the same: only images with an
    equal stretch are compared, so that a hundred thousand are done in seconds.

    Args:
        hashes: Of each image; None is like no other.
        most: Bits that may differ.

    Returns:
        The positions in each group of two or more, in their order.
    """
    there = np.array([position for position, each in enumerate(hashes) if each is not None], np.int64)
    if len(there) < 2:
        return []
    bits = np.stack([each for each in hashes if each is not None])
    packed, same = np.unique(np.packbits(bits, axis=1), axis=0, return_inverse=True)
    different = np.unpackbits(packed, axis=1).astype(bool)
    leader = np.arange(len(different))
    for one, other in _alike(different, most):
        first, second = _leader(leader, one), _leader(leader, other)
        leader[max(first, second)] = min(first, second)
    found: dict[int, list[int]] = {}
    for position, each in zip(there.tolist(), same.ravel().tolist(), strict=True):
        found.setdefault(_leader(leader, each), []).append(position)
    return sorted(group for group in found.values() if len(group) > 1)


def _alike(bits: Bool[np.ndarray, "hash bit"], most: int) -> Iterator[tuple[int, int]]:
    """Pairs of hashes that differ in at most `most` bits."""
    for stretch in np.array_split(np.arange(BITS), most + 1):
        keys = np.packbits(bits[:, stretch], axis=1)
        order = np.lexsort(keys.T)
        starts = np.flatnonzero(np.any(np.diff(keys[order], axis=0), axis=1)) + 1
        for bucket in np.split(order, starts):
            for at, one in enumerate(bucket[:-1]):
                others = bucket[at + 1 :]
                near = (bits[others] != bits[one]).sum(axis=1) <= most
                yield from ((int(one), int(other)) for other in others[near])


def _leader(leader: Int64[np.ndarray, "hash"], each: int) -> int:
    while leader[each] != each:
        each = int(leader[each])
    return each
