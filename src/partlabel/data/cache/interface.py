"""What the package asks of a store of features: `FeatureStore` keeps them, `Features` are read by training and review.

`feature_store.py` has the store in a folder of files. Another store, such as a database, is a class with these methods;
no other module opens its files.
"""

from collections.abc import Callable, Collection, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float16, Int

from partlabel.data.cache.shard_file import Layout


@runtime_checkable
class Features(Protocol):
    """Features of the images of a table, by row; the store keeps them as long as this object lives.

    Attributes:
        shape: Shape of an image's features.
    """

    shape: tuple[int, ...]

    @property
    def there(self) -> np.ndarray:
        """Mask of the images that have features."""
        ...

    def take(self, rows: Int[np.ndarray, " row"]) -> Float16[np.ndarray, "row *shape"]:
        """Copy the features of some images."""
        ...


@dataclass(frozen=True)
class ViewRequest:
    """A view to compute.

    Attributes:
        maker: Hash of all that its features depend on except the images.
        images: Hash of each image's bytes.
        layout: Size, and division into shards.
        properties: Further properties to look it up by.
    """

    maker: str
    images: Sequence[str]
    layout: Layout
    properties: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class FeatureView(Protocol):
    """A view that is reserved, and may be incomplete.

    Attributes:
        layout: Size, and division into shards.
    """

    layout: Layout

    def computing(self) -> AbstractContextManager[None]:
        """Exclude other processes from computing this view."""
        ...

    def missing(self, readable: Sequence[bool]) -> list[int]:
        """List the shards that are missing or damaged, or lack an image that can be read.

        Args:
            readable: Whether each image of the view can be read, as far as is known.
        """
        ...

    def write(self, shard: int) -> AbstractContextManager[Callable[[np.ndarray], None]]:
        """Return a block that yields a function that writes the next rows of a shard.

        The shard appears only if the block ends without an error.
        """
        ...


@runtime_checkable
class FoundImages(Protocol):
    """The stored part of some images.

    Attributes:
        broken: Hashes of images that could not be read when they were computed.
        lacking: Whether the view of exactly these images exists and lacks shards.
    """

    broken: set[str]
    lacking: bool

    @property
    def hashes(self) -> Set[str]:
        """Hashes of the images that have features."""
        ...

    def add(self, view: FeatureView) -> None:
        """Add the images of a view that was completed since."""
        ...

    def features(self, hashes: Sequence[str | None], channels: int | None = None) -> Features:
        """Return the features of images by their hashes, or their first channels; images in no view have none."""
        ...


@runtime_checkable
class FeatureStore(Protocol):
    """Views of images: a view has the features of some images under one transform, and is computed once."""

    @property
    def is_empty(self) -> bool:
        """Whether there is no view."""
        ...

    def look_up(
        self, maker: str, wanted: Collection[str], exact: ViewRequest | None = None, key: str = "maker"
    ) -> FoundImages:
        """Find images in the views of a maker.

        Args:
            maker: What produced the features.
            wanted: Hashes of the images.
            exact: The view of exactly these images; if it lacks shards, it has to be completed, and no other view is
                searched.
            key: Property of a view to compare with `maker`.
        """
        ...

    def reserve(self, views: Sequence[ViewRequest], limit: int | None = None) -> Sequence[FeatureView]:
        """Create views where they do not exist; unused ones are deleted if a limit in bytes asks for that.

        Raises:
            ValueError: The views alone exceed the limit.
            OSError: There is no room for them.
        """
        ...
