"""Towers by what a user types: the folder that `partlabel align` wrote, or an image-text model."""

from pathlib import Path

from partlabel.core.files import read_json
from partlabel.nn import backbone as bodies
from partlabel.nn import backbones
from partlabel.training.towers._base import Tower
from partlabel.training.towers.joint import CONFIG, JointTower
from partlabel.training.towers.tower import AlignedTower


def load(given: str | Path, cache_dir: str | None = None) -> Tower:
    """Load a tower.

    Args:
        given: Folder of a tower, or an image-text model `source:name`, with a file of its weights as
            `source:name@file`.
        cache_dir: Folder of caches; None for the default.

    Raises:
        FileNotFoundError: The folder holds no tower, or there is no file of weights.
        ValueError: A file is damaged, or there is no such model.
        ImportError: The package of the model is not installed.
    """
    model, _, weights = str(given).partition("@")
    if not Path(given).exists() and model.partition(":")[0] in backbones.names() and ":" in model:
        return JointTower.of(model, weights)
    config = Path(given) / CONFIG
    about = _read(config)
    if isinstance(about, dict) and isinstance(about.get("model"), str):
        bodies.refuse_elsewhere(config, about["model"])
        return JointTower.of(about["model"], str(about.get("weights", "")))
    return AlignedTower.load(given, cache_dir)


def _read(config: Path) -> object:
    """Read a description; None where there is none, or none that can be read."""
    try:
        return read_json(config)
    except (OSError, ValueError):
        return None
