"""Kinds of scene: the look of each, and the probability of each thing there.

Things co-occur: a scene with a teapot probably has a cup, and no crab. A model can learn this co-occurrence.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from partlabel.demo.scenes import backdrops
from partlabel.demo.scenes.canvas import Pen

Backdrop = Callable[[Pen, float], None]

SIZES = {
    "balloon": (0.09, 0.19),
    "bicycle": (0.10, 0.17),
    "bird": (0.045, 0.10),
    "boat": (0.07, 0.17),
    "cake": (0.09, 0.18),
    "car": (0.10, 0.19),
    "cat": (0.08, 0.16),
    "cloud": (0.08, 0.17),
    "crab": (0.06, 0.12),
    "cup": (0.06, 0.13),
    "fish": (0.05, 0.12),
    "flower": (0.07, 0.14),
    "house": (0.13, 0.24),
    "lamp": (0.13, 0.24),
    "moon": (0.07, 0.14),
    "mountain": (0.14, 0.26),
    "sandcastle": (0.08, 0.17),
    "sheep": (0.08, 0.15),
    "snowman": (0.10, 0.21),
    "star": (0.04, 0.10),
    "sun": (0.07, 0.15),
    "teapot": (0.08, 0.15),
    "tree": (0.13, 0.26),
    "umbrella": (0.10, 0.20),
}
"""Half the height of each thing, minimum and maximum, in heights of the image."""

SEVERAL = {
    "bird": 3,
    "cloud": 3,
    "cup": 2,
    "fish": 4,
    "flower": 4,
    "house": 2,
    "sheep": 3,
    "star": 4,
    "tree": 3,
}
"""Maximum number of each thing per image; 1 for all others."""

_KERB = {"house": "kerb", "lamp": "kerb", "tree": "kerb"}
_IN_THE_SKY = ("balloon", "bird", "cloud", "moon", "star", "sun")


@dataclass(frozen=True)
class Place:
    """A kind of scene.

    Attributes:
        chances: P(thing is present), independently, for each thing that may be present here.
        layers: Functions that draw the background, the layer in front of things in the sky, and the foreground.
        horizon: Top edge of the ground, minimum and maximum, in heights of the image from the top.
        bands: Positions of the things that are neither in the sky nor on the ground here.
        sky: Minimum distance of things in the sky above the horizon.
        ground: Maximum distance of things on the ground below the horizon.
        scale: Size of things relative to the usual size.
    """

    chances: Mapping[str, float]
    layers: tuple[Backdrop, Backdrop, Backdrop]
    horizon: tuple[float, float] = (0.42, 0.6)
    bands: Mapping[str, str] = field(default_factory=dict)
    sky: float = 0.09
    ground: float = 0.08
    scale: float = 1.0

    def band(self, thing: str) -> str:
        """Return the position of a thing: `sky`, `horizon`, `kerb`, `ground`, `water`, `surface`, `deep`, `ceiling`."""
        usual = "sky" if thing in _IN_THE_SKY else "horizon" if thing == "mountain" else "ground"
        return self.bands.get(thing, usual)


PLACES = {
    "beach": Place(
        {
            "sun": 0.6,
            "boat": 0.5,
            "sandcastle": 0.5,
            "umbrella": 0.5,
            "crab": 0.4,
            "cloud": 0.3,
            "bird": 0.3,
            "tree": 0.3,
        },
        (backdrops.day, backdrops.shore, backdrops.nothing),
        horizon=(0.32, 0.48),
        bands={"boat": "water"},
        ground=0.3,
    ),
    "underwater": Place(
        {"fish": 0.95, "crab": 0.55, "boat": 0.45, "sandcastle": 0.35, "teapot": 0.12, "cup": 0.1},
        (backdrops.water, backdrops.seabed, backdrops.weeds),
        horizon=(0.14, 0.26),
        sky=0.0,
        bands={"fish": "deep", "boat": "surface"},
        ground=0.68,
    ),
    "street": Place(
        {
            "house": 0.75,
            "car": 0.7,
            "bicycle": 0.45,
            "lamp": 0.45,
            "tree": 0.3,
            "sun": 0.3,
            "cloud": 0.25,
            "cat": 0.2,
            "bird": 0.15,
        },
        (backdrops.day, backdrops.road, backdrops.nothing),
        horizon=(0.5, 0.62),
        bands=_KERB,
        sky=0.2,
        ground=0.2,
    ),
    "rain": Place(
        {
            "umbrella": 0.8,
            "cloud": 0.75,
            "house": 0.45,
            "car": 0.5,
            "lamp": 0.45,
            "bicycle": 0.2,
            "cat": 0.15,
        },
        (backdrops.grey, backdrops.wet_road, backdrops.rain),
        horizon=(0.5, 0.62),
        bands=_KERB,
        sky=0.2,
        ground=0.2,
    ),
    "night": Place(
        {
            "moon": 0.75,
            "star": 0.6,
            "house": 0.5,
            "tree": 0.4,
            "cat": 0.35,
            "lamp": 0.35,
            "cloud": 0.2,
            "balloon": 0.1,
        },
        (backdrops.dark, backdrops.dim_meadow, backdrops.night_grass),
        horizon=(0.5, 0.68),
    ),
    "garden": Place(
        {
            "flower": 0.85,
            "tree": 0.5,
            "cat": 0.4,
            "bird": 0.4,
            "sun": 0.4,
            "house": 0.2,
            "bicycle": 0.2,
            "cloud": 0.2,
        },
        (backdrops.day, backdrops.meadow, backdrops.grass),
    ),
    "picnic": Place(
        {
            "cake": 0.6,
            "cup": 0.55,
            "teapot": 0.4,
            "umbrella": 0.4,
            "tree": 0.4,
            "sun": 0.35,
            "flower": 0.3,
            "bird": 0.25,
        },
        (backdrops.day, backdrops.blanket, backdrops.grass),
        horizon=(0.36, 0.5),
        ground=0.2,
    ),
    "winter": Place(
        {
            "snowman": 0.75,
            "tree": 0.55,
            "mountain": 0.45,
            "house": 0.4,
            "bird": 0.25,
            "cloud": 0.25,
            "moon": 0.2,
            "star": 0.2,
        },
        (backdrops.cold, backdrops.snow, backdrops.flakes),
    ),
    "farm": Place(
        {
            "sheep": 0.85,
            "house": 0.5,
            "tree": 0.45,
            "sun": 0.45,
            "cloud": 0.4,
            "flower": 0.25,
            "balloon": 0.15,
            "car": 0.1,
        },
        (backdrops.day, backdrops.meadow, backdrops.grass),
    ),
    "kitchen": Place(
        {"cup": 0.7, "teapot": 0.55, "cake": 0.5, "lamp": 0.55, "cat": 0.35, "flower": 0.4, "fish": 0.2},
        (backdrops.wall, backdrops.table, backdrops.nothing),
        horizon=(0.56, 0.66),
        bands={"lamp": "ceiling"},
        ground=0.06,
        scale=1.25,
    ),
    "mountains": Place(
        {"mountain": 0.9, "balloon": 0.6, "cloud": 0.5, "bird": 0.4, "tree": 0.4, "sun": 0.35, "sheep": 0.15},
        (backdrops.day, backdrops.meadow, backdrops.grass),
        horizon=(0.55, 0.72),
    ),
}
