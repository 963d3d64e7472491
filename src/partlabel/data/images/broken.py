"""Detection of images that cannot be read, before they are used. Does not need PyTorch."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from partlabel.core.messages import some
from partlabel.core.progress_bar import track
from partlabel.data.images.decode import decode
from partlabel.data.images.depth import SCALED
from partlabel.data.tables.label_table import LabelTable


class Broken(NamedTuple):
    """An image that cannot be used.

    Attributes:
        image: Path as in the table.
        reason: Reason in a few words.
    """

    image: str
    reason: str


class NoneReadable(ValueError):
    """No image is left after broken images are left out."""


def find_broken(table: LabelTable, workers: int = 4, at_least: int = 32) -> list[Broken]:
    """Find the images of a table that are missing, truncated, not images, or larger than Pillow considers safe.

    Every file is read completely.

    Args:
        table: Label table with a root.
        workers: Number of threads.
        at_least: Required size of the shorter side, in pixels; JPEGs are decoded at a scale down to an eighth for this.

    Warns:
        UserWarning: Images have float values, or 12 bits in 16, and were scaled (see `depth`).
    """
    scaled: dict[str, list[str]] = {}

    def look(row: int) -> Broken | None:
        try:
            what = decode(table.path(row), at_least=at_least).info.get(SCALED)
        except OSError as error:
            return broken(table, row, error)
        if what:
            scaled.setdefault(what, []).append(table.images[row])
        return None

    with ThreadPoolExecutor(workers) as pool:
        looked = track(pool.map(look, range(len(table))), "Checking photos", len(table), "photos")
        found = [each for each in looked if each]
    for what, images in sorted(scaled.items()):
        warnings.warn(
            f"{len(images)} of {len(table)} images have {what}, and were scaled to 8 bits: {some(sorted(images))}",
            stacklevel=2,
        )
    return found


def broken(table: LabelTable, row: int, error: OSError) -> Broken:
    """Return the reason why an image of a table cannot be used, from the error of `decode`."""
    return Broken(table.images[row], str(error).removeprefix(f"{table.path(row)}: "))


def skip(table: LabelTable, broken: Sequence[Broken]) -> LabelTable:
    """Remove broken images from a table.

    Raises:
        NoneReadable: No image is left.
    """
    out = {image for image, _ in broken}
    kept = [row for row, image in enumerate(table.images) if image not in out]
    if not kept:
        raise NoneReadable(
            f"none of the {len(table)} images can be read; the first: {' is '.join(broken[0])}"
        )
    return table[kept]
