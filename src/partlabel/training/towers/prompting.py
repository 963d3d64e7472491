"""The space of a tower for methods that learn in it."""

from dataclasses import replace

from partlabel import methods
from partlabel.methods import Method
from partlabel.nn.classes import Classes
from partlabel.training.config import TrainingConfig
from partlabel.training.datasets import method_backbone
from partlabel.training.towers import loading
from partlabel.training.towers._base import Tower


def tower_of(method: str, image_size: int, config: TrainingConfig) -> Tower | None:
    """Load the tower of a training by steps; None for a method that needs none."""
    if config.tower is None or not methods.get(method).needs_tower:
        return None
    return loading.load(config.tower, config.cache_dir).at(image_size)


def in_space(classes: Classes, tower: Tower | None) -> Classes:
    """Give classes the space of a tower, if there is one.

    Raises:
        ValueError: Gradients do not pass through its text encoder.
    """
    return classes if tower is None else replace(classes, joint=tower.joint_space(classes.names))


def check_image_encoder(tower: Tower | None, model: Method, name: str) -> None:
    """Check that a method sees photos as the tower does.

    Args:
        tower: Tower; None for none.
        model: The method, built.
        name: Name of its backbone, for the message.

    Raises:
        ValueError: Its backbone, or the weights, are not those of the tower.
    """
    if tower is not None:
        tower.check_backbone(method_backbone(model), name)
