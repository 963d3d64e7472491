"""Near-duplicate images by difference hashes: is each cell of a small grey image lighter than the next?

A hash has 8 x 8 horizontal and 8 x 8 vertical comparisons (Krawetz's dHash, in both directions). Resizing,
recompression and small changes of colour leave nearly all of them unchanged.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int64, UInt64
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
    packed = np.packbits(np.stack([each for each in hashes if each is not None]), axis=1)
    words, same = np.unique(packed.view(np.uint64), axis=0, return_inverse=True)
    pairs = np.concatenate([np.empty((2, 0), np.int64), *_alike(words, most)], axis=1)
    component = _components(pairs, len(words))[same.ravel()]
    order = np.argsort(component, kind="stable")
    bounds = np.flatnonzero(np.diff(component[order])) + 1
    return sorted(group.tolist() for group in np.split(there[order], bounds) if len(group) > 1)


def _components(pairs: Int64[np.ndarray, "2 pair"], count: int) -> Int64[np.ndarray, "hash"]:
    """Give every hash the lowest number of those that pairs connect it with, directly or through others.

    SciPy has this, and takes longer to load than tables of ordinary size take to group.
    """
    lowest = np.arange(count)
    while True:
        lower, ends = lowest.copy(), lowest[pairs]
        for end in ends:
            np.minimum.at(lower, end, ends.min(0))
        lower = lower[lower][lowest]
        if np.array_equal(lower, lowest):
            return lowest
        lowest = lower


def _alike(words: UInt64[np.ndarray, "hash word"], most: int) -> Iterator[Int64[np.ndarray, "2 pair"]]:
    """Find pairs of hashes that differ in at most `most` bits; a pair may be found several times.

    Hashes with an equal segment are neighbours once sorted by it: all are compared with the next in the order, then
    with the one after it, and so on, as long as their segments are equal.
    """
    bits = np.unpackbits(words.view(np.uint8), axis=1)
    for segment in np.array_split(np.arange(BITS), most + 1):
        keys = np.packbits(bits[:, segment], axis=1)
        order = np.lexsort(keys.T)
        starts = np.flatnonzero(np.any(np.diff(keys[order], axis=0), axis=1)) + 1
        sizes = np.diff([0, *starts, len(order)])
        end, ordered = np.repeat(np.cumsum(sizes), sizes), words[order]
        left = np.arange(len(order))
        for ahead in range(1, sizes.max()):
            left = left[left + ahead < end[left]]
            differing = np.bitwise_count(ordered[left] ^ ordered[left + ahead]).sum(1)
            near = left[differing <= most]
            yield np.stack([order[near], order[near + ahead]])
