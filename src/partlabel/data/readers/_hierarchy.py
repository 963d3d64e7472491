"""Hierarchical class names, such as `animal|dog`: which of their levels are classes of an image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from partlabel.core.fixes import InputError, ReaderArgument

Hierarchy = Literal["leaf", "parents", "path"]
"""`leaf`: the last name of a path; `parents`: the last name and all names above it; `path`: the whole path as one name.
"""
Levels = tuple[str, ...]


def levels(names: Sequence[object]) -> Levels:
    """Return a path without surrounding spaces and without empty names.

    Args:
        names: Names from the top to the leaf.
    """
    return tuple(name for each in names if (name := str(each).strip()))


def classes_of(source: Path, images: Sequence[Sequence[Levels]], hierarchy: Hierarchy) -> list[list[str]]:
    """Return the classes of each image.

    A name without a parent is the same class as a leaf of that name that has parents.

    Args:
        source: Annotation file or folder, for messages.
        images: Paths of each image.
        hierarchy: Levels of a path that are classes.

    Raises:
        ValueError: Two different paths end in the same name, and `hierarchy` is not `path`.
    """
    if hierarchy == "path":
        return [_whole(paths) for paths in images]
    above: dict[str, Levels] = {}
    for path in {path: None for paths in images for path in paths if len(path) > 1}:
        depths = range(1, len(path) + 1) if hierarchy == "parents" else [len(path)]
        for depth in depths:
            other = above.setdefault(path[depth - 1], path[:depth])
            if other != path[:depth] and len(other) > 1 and depth > 1:
                raise InputError(
                    f"{source}: {path[depth - 1]!r} is both {'|'.join(other)!r} and {'|'.join(path[:depth])!r}; tell "
                    "them apart with ",
                    ReaderArgument("hierarchy", "path"),
                )
    start = None if hierarchy == "parents" else -1
    return [list(dict.fromkeys(name for path in paths for name in path[start:])) for paths in images]


def _whole(paths: Sequence[Levels]) -> list[str]:
    """Return whole paths; a single name that is part of another path of the image is not repeated."""
    inside = {name for path in paths if len(path) > 1 for name in path}
    kept = [path for path in paths if len(path) > 1 or not inside & {*path}]
    return list(dict.fromkeys("|".join(path) for path in kept))
