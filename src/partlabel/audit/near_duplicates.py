"""Near-duplicate images by difference hashes: is each cell of a small grey image lighter than the next?

A hash has 8 x 8 horizontal and 8 x 8 vertical comparisons (Krawetz's dHash, in both directions). Resizing,
recompression and small changes of colour leave nearly all of them unchanged.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int64
from PIL import Image

BITS = 128
_FLAT = 4  # grey levels: an image with less contrast is left out, since its hash is chance


def difference_hash(image: Image.Image) -> Bool[np.ndarray, "bit"] | None:
    """Compute the hash of an image; None for an image of nearly one colour."""
    grey = np.asarray(image.convert("L").resize((9, 9), Image.Resampling.BOX), np.int16)
    if int(np.ptp(grey)) < _FLAT:
        return None
    right, down = np.diff(grey[:8], axis=1) > 0, np.diff(grey[:, :8], axis=0) > 0
    return np.concatenate([right.ravel(), down.ravel()])


def groups(hashes: Sequence[Bool[np.ndarray, "bit"] | None], most: int) -> list[list[int]]:
    """Group images whose hashes differ in few bits, transitively.

    Of two hashes that differ in at most `most` bits, at least one of `most` + 1 segments is equal: only images with an
    equal segment are compared, so that a hundred thousand images take seconds.

    Args:
        hashes: Hash of each image; None is similar to nothing.
        most: Maximum number of differing bits.

    Returns:
        The positions in each group of two or more, in order.
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
    """Find pairs of hashes that differ in at most `most` bits."""
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
