"""Options that commands share: a tower, which compares photos with class names."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from partlabel.tagger import Tagger


@dataclass(frozen=True)
class TowerOptions:
    """A tower.

    Args:
        tower: The tower that the run was trained with, where the run folder does not hold or find it.
    """

    tower: str | None = None

    def given_to(self, tagger: "Tagger") -> "Tagger":
        """Give the tower to a tagger, if there is one; return the tagger."""
        from partlabel.training.towers import loading

        if self.tower is not None:
            folder = tagger.cache.folder
            tagger.tower = loading.load(self.tower, None if folder is None else str(folder))
        return tagger
