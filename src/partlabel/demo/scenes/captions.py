"""Captions of drawn scenes, of several qualities: "a picture with a cat and a tree".

A caption names each present class with some probability, as people do, who leave out most of what a photo shows.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int8

from partlabel.core.files import atomic_write
from partlabel.core.labels import PRESENT

Quality = Literal["right", "half missing", "half wrong", "shuffled"]
QUALITIES: tuple[Quality, ...] = get_args(Quality)
"""`half missing`: every second scene has no caption; `half wrong`: that of another scene; `shuffled`: all have."""


def captions(
    labels: Int8[np.ndarray, "image class"], classes: Sequence[str], seed: int, named: float = 0.5
) -> list[tuple[str, ...]]:
    """Write a caption for every scene; scenes without a named class get `a picture`.

    Args:
        labels: Ground truth.
        classes: Class names.
        seed: Random seed.
        named: Probability that a present class is named.
    """
    random = np.random.RandomState(seed)
    found: list[tuple[str, ...]] = []
    for row in labels:
        things = [
            _with_article(classes[c])
            for c in np.flatnonzero(row == PRESENT).tolist()
            if random.rand() < named
        ]
        found.append(("a picture with " + " and ".join(things) if things else "a picture",))
    return found


def of_quality(written: Sequence[tuple[str, ...]], quality: Quality, seed: int) -> list[tuple[str, ...]]:
    """Remove or exchange captions.

    Args:
        written: Caption of each scene.
        quality: One of `QUALITIES`.
        seed: Random seed of the exchange.
    """
    other = np.random.RandomState(seed + 1).permutation(len(written))
    if quality == "half missing":
        return [caption if row % 2 else () for row, caption in enumerate(written)]
    if quality == "half wrong":
        return [caption if row % 2 else written[other[row]] for row, caption in enumerate(written)]
    return [written[row] for row in other] if quality == "shuffled" else list(written)


def save_captions(images: Sequence[str], texts: Sequence[tuple[str, ...]], path: Path) -> Path:
    """Write a file for `--texts`: columns `image` and `caption`, a row for each caption."""
    with atomic_write(path) as aside, open(aside, "w", newline="", encoding="utf-8") as file:
        rows = [(image, text) for image, of_image in zip(images, texts, strict=True) for text in of_image]
        csv.writer(file, lineterminator="\n").writerows([("image", "caption"), *rows])
    return path


def _with_article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
