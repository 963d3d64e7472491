"""Lookup of cached features by the hash of an image's bytes, whatever table the image is in.

Every view in the cache records in `view.json` what produced it (the *maker*: weights, transform, size) and in
`images.bin` the hashes of its images. So an image is computed once per maker: a part of a table, a table with more
images or a copy in another folder takes its rows from existing views, and only new images are computed, into a new
view. An image that could not be read has a row of NaN, and is tried again each time.
"""

import json
import warnings
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Int

from partlabel.core.files import atomic_write
from partlabel.data.cache import eviction, shard_file
from partlabel.data.cache.eviction import CachedView
from partlabel.data.cache.interface import FeatureView, ViewRequest
from partlabel.data.cache.shard_file import DESCRIPTION, Layout, Sharded
from partlabel.data.cache.shard_view import ShardView

IMAGES = "images.bin"
DIGEST = 16
"""Bytes of a hash in `IMAGES`."""


class Stored:
    """The features of a table's images, from one or more views of the cache.

    Args:
        views: Views that hold them; they are in use, and therefore kept, as long as this object lives.
        which: Index of the view of each image; -1 if the image has no features.
        row: Row of each image in its view.
        channels: Number of leading channels to take; default: all.

    Attributes:
        shape: Shape of an image's features.
    """

    def __init__(
        self,
        views: Sequence[CachedView],
        which: Int[np.ndarray, " image"],
        row: Int[np.ndarray, " image"],
        channels: int | None = None,
    ) -> None:
        self.held = list(views)
        self.which = which
        self.row = row
        self._shards = [Sharded(view.path) for view in views]
        shape = self._shards[0].layout.shape if self._shards else (0,)
        self.shape: tuple[int, ...] = (channels or shape[0], *shape[1:])

    @property
    def there(self) -> np.ndarray:
        """Mask of the images that have features."""
        return self.which >= 0

    def take(self, rows: Int[np.ndarray, " row"]) -> Float16[np.ndarray, "row *shape"]:
        """Copy the features of some images.

        Raises:
            ValueError: One of them has none.
        """
        which, found = self.which[rows], np.empty((len(rows), *self.shape), np.float16)
        if (which < 0).any():
            raise ValueError(f"{int((which < 0).sum())} of {len(rows)} images have no features in the cache")
        for number in np.unique(which):
            taken = self._shards[number].take(self.row[rows][which == number])
            found[which == number] = taken[:, : self.shape[0]]
        return found


@dataclass
class Known:
    """The cached part of some images.

    Attributes:
        places: Folder of the view and row in it, by hash.
        broken: Hashes of images that could not be read when their row was written.
        held: Views by folder; they are kept as long as this object lives.
        lacking: Whether the view of exactly these images exists and lacks shards.
    """

    places: dict[str, tuple[Path, int]] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    held: dict[Path, CachedView] = field(default_factory=dict)
    lacking: bool = False

    @property
    def hashes(self) -> Set[str]:
        """Hashes of the images that have features."""
        return self.places.keys()

    def add(self, view: FeatureView) -> None:
        """Add the images of a view that was completed since."""
        assert isinstance(view, ShardView)
        add(self, view.held, view.images)

    def features(self, hashes: Sequence[str | None], channels: int | None = None) -> Stored:
        """Return the features of images by their hashes, or their first channels; images in no view have none."""
        folders = list(dict.fromkeys(self.places[each][0] for each in hashes if each in self.places))
        number = {folder: at for at, folder in enumerate(folders)}
        which, row = np.full(len(hashes), -1), np.zeros(len(hashes), np.int64)
        for at, each in enumerate(hashes):
            if each is not None and each in self.places:
                folder, row[at] = self.places[each]
                which[at] = number[folder]
        return Stored([self.held[folder] for folder in folders], which, row, channels)


class ShardStore:
    """The store of `FeatureStore` in a folder: each view is a folder of shards.

    Args:
        home: Folder of the views.
    """

    def __init__(self, home: Path) -> None:
        self.home = home

    @property
    def is_empty(self) -> bool:
        """Whether there is no view."""
        return not any(self.home.glob(f"*/{IMAGES}"))

    def look_up(
        self, maker: str, wanted: Collection[str], exact: ViewRequest | None = None, key: str = "maker"
    ) -> Known:
        """Find images in the views of a maker. Checksums of the shards in question are verified."""
        return look_up(self.home, maker, wanted, "" if exact is None else _name(exact), key)

    def reserve(self, views: Sequence[ViewRequest], limit: int | None = None) -> list[ShardView]:
        """Create views where they do not exist; the least recently used ones are deleted for a limit."""
        held = eviction.reserve(self.home, {_name(view): view.layout for view in views}, limit)
        for view, folder in zip(views, held, strict=True):
            write_layout(folder.path, view)
        return [ShardView(folder, view.images, view.layout) for view, folder in zip(views, held, strict=True)]


def _name(view: ViewRequest) -> str:
    """Return the folder name of a view."""
    about = f"{view.maker} {view.layout} {' '.join(view.images)}"
    return blake2b(about.encode(), digest_size=DIGEST).hexdigest()


def write_layout(folder: Path, view: ViewRequest) -> None:
    """Write what produced a view and its images, for `look_up`, and its properties."""
    if not (folder / IMAGES).exists():
        with atomic_write(folder / IMAGES) as aside:
            aside.write_bytes(bytes.fromhex("".join(view.images)))
    view.layout.describe(folder, maker=view.maker, **view.properties)


def look_up(home: Path, maker: str, wanted: Collection[str], exact: str = "", key: str = "maker") -> Known:
    """Find images in the views of a maker. Checksums of the shards in question are verified.

    Args:
        home: Folder of caches.
        maker: Identification of the computation of the features.
        wanted: Hashes of the images.
        exact: Folder name of the view of exactly these images; if it lacks shards, it has to be completed, and no other
            view is searched.
        key: Key of a view's description to compare with `maker`.
    """
    known, wanted = Known(), set(wanted)
    for folder in sorted(_views_of(home, maker, key), key=lambda folder: folder.name != exact):
        layout, images = _layout(folder), _images(folder)
        left = wanted - known.places.keys()
        rows = [row for row, image in enumerate(images) if image in left]
        if layout is None or len(images) != layout.rows or not rows:
            continue
        try:
            view = CachedView(folder)
        except OSError:  # deleted in the meantime
            continue
        shards = sorted({row // layout.per_shard for row in rows})
        faults = {number: shard_file.fault(folder, layout, number) for number in shards}
        whole = all(shard_file.shard_path(folder, number).exists() for number in range(layout.shards))
        if folder.name == exact and any(faults.values()):
            return Known(lacking=True)
        if whole and not any(faults.values()):
            add(known, view, images, left)
        elif whole:
            _warn_of(folder, faults)
    return known


def add(
    known: Known,
    view: CachedView,
    images: Sequence[str],
    wanted: Collection[str] | None = None,
) -> None:
    """Add the images of a complete view.

    Args:
        known: Result to extend.
        view: View.
        images: Hashes, in the order of its rows.
        wanted: Hashes to add; default: all.
    """
    known.held[view.path], known.lacking = view, False
    shards = Sharded(view.path)
    for row, image in enumerate(images):
        if wanted is not None and image not in wanted:
            continue
        if not shards.is_nan(row):
            known.places[image] = (view.path, row)
        elif image not in known.places:
            known.broken.add(image)
    known.broken -= known.places.keys()


def _warn_of(folder: Path, faults: Mapping[int, str | None]) -> None:
    for number, found in faults.items():
        if found:
            path = shard_file.shard_path(folder, number)
            warnings.warn(f"{path} is damaged ({found}); its folder is not used", stacklevel=3)


def _views_of(home: Path, maker: str, key: str) -> list[Path]:
    """List the views of a maker, the largest first."""
    found = []
    for file in home.glob(f"*/{DESCRIPTION}"):
        try:
            known = json.loads(file.read_text())
            if known.get(key) == maker:
                found.append((-int(known["rows"]), file.parent))
        except (OSError, ValueError, KeyError, AttributeError):  # it is being deleted, or is not a view
            continue
    return [folder for _, folder in sorted(found)]


def _layout(folder: Path) -> Layout | None:
    try:
        known = json.loads((folder / DESCRIPTION).read_text())
        return Layout(known["rows"], tuple(known["shape"]), known["per_shard"])
    except (OSError, ValueError, KeyError):
        return None


def _images(folder: Path) -> list[str]:
    try:
        text = (folder / IMAGES).read_bytes().hex()
    except OSError:
        return []
    return [text[at : at + 2 * DIGEST] for at in range(0, len(text), 2 * DIGEST)]
