"""Towers by what a user types: the folder that `partlabel align` wrote."""

from pathlib import Path

from partlabel.training.towers._base import Tower
from partlabel.training.towers.tower import AlignedTower


def load(given: str | Path, cache_dir: str | None = None) -> Tower:
    """Load a tower.

    Args:
        given: Folder of a tower.
        cache_dir: Folder of caches; None for the default.

    Raises:
        FileNotFoundError: The folder holds no tower.
        ValueError: A file is damaged.
    """
    return AlignedTower.load(given, cache_dir)
