"""Drawn scenes: a fully labelled data set for the demo and the tests, without download.

A scene is planned first (`plan`: a place, and the position of each thing) and then painted (`paint`). Both depend on
the seed only, so the same seed draws the same bytes. There are twenty-four classes, about three per image; the ground
truth is exact because the scenes are drawn.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache
from inspect import getmembers, isfunction
from itertools import count as numbers
from itertools import islice
from pathlib import Path
from random import Random

import numpy as np
from jaxtyping import Int8
from PIL import Image, ImageChops, ImageDraw, ImageFont

from partlabel.core.labels import ABSENT, PRESENT
from partlabel.core.progress_bar import track
from partlabel.data.tables.label_table import LabelTable
from partlabel.demo.scenes import things
from partlabel.demo.scenes.canvas import Pen
from partlabel.demo.scenes.places import PLACES, SEVERAL, SIZES, Place

DRAWINGS = {
    name: drawing
    for name, drawing in getmembers(things, isfunction)
    if drawing.__module__ == things.__name__ and not name.startswith("_")
}
CLASSES = tuple(DRAWINGS)
"""Class names: those of the public functions of `things`."""

_FINE = 3  # supersampling factor, for smooth edges
_STRANGER = 0.15  # P(a thing that does not belong to the place)
_HIDDEN = 0.4  # maximum share of a thing's box that another may cover


@dataclass(frozen=True)
class Placed:
    """A thing in a scene.

    Attributes:
        thing: Class.
        x: Centre, in widths of the image from the left.
        y: Centre, in heights of the image from the top.
        size: Half its height, in heights of the image.
        flip: Whether it is mirrored.
        tilt: Rotation in radians.
        seed: Random seed of its colours and shape.
    """

    thing: str
    x: float
    y: float
    size: float
    flip: bool
    tilt: float
    seed: int

    def overlap(self, other: "Placed") -> float:
        """Compute the share of the smaller bounding box that both boxes cover."""
        near = self.size + other.size
        least = 2 * min(self.size, other.size)
        wide, high = (min(max(near - abs(d), 0), least) for d in (self.x - other.x, self.y - other.y))
        return wide * high / least**2


@dataclass(frozen=True)
class Scene:
    """Plan of a scene.

    Attributes:
        place: Key of `PLACES`.
        horizon: Top edge of the ground, in heights of the image from the top.
        placed: Things, from the furthest to the nearest.
        seed: Random seed of the backdrop.
    """

    place: str
    horizon: float
    placed: tuple[Placed, ...]
    seed: int

    @property
    def present(self) -> frozenset[str]:
        """Classes that are present."""
        return frozenset(one.thing for one in self.placed)


def draw(folder: str | Path, count: int, seed: int = 0, size: int = 128, test: float = 0.2) -> LabelTable:
    """Draw scenes into a folder: `images/*.jpg` and, beside it, `labels.csv`.

    Args:
        folder: Output folder; images with the same names are overwritten.
        count: Number of scenes.
        seed: Random seed; scene `i` does not depend on the number of scenes.
        size: Width and height of the images, in pixels.
        test: Share of the images, the last ones, in the part `test`; the others are in `train`.

    Returns:
        The saved table: every label is known, `root` is the folder.

    Raises:
        ValueError: There are no scenes, or images are too small.
    """
    if count < 1 or size < 16:
        raise ValueError(f"count={count}, size={size}: draw at least 1 scene of at least 16 pixels")
    folder = Path(folder)
    images, labels = _paint_all(folder, "images", range(count), seed, size)
    first = round(count * (1 - test))
    split = ("train",) * first + ("test",) * (count - first)
    table = LabelTable(images, CLASSES, labels, split, folder)
    table.save(folder / "labels.csv")
    return table


def collection(
    folder: str | Path, images: int = 400, known: float = 0.5, new: int = 40, seed: int = 0, size: int = 128
) -> LabelTable:
    """Draw the typical data of a practitioner: a folder of photos, and a partially labelled table.

    Args:
        folder: Output folder; gets `photos/`, `labels.csv` with unknown labels, `truth.csv` without, and `new-photos/`,
            which are in no table.
        images: Number of photos in the table.
        known: Share of known labels, in (0, 1].
        new: Number of photos in no table.
        seed: Random seed of the scenes and of the unknown labels.
        size: Width and height of the photos, in pixels.

    Returns:
        The table with unknown labels; `root` is the folder of photos.

    Raises:
        ValueError: There are no photos, or photos are too small.
    """
    if images < 1 or new < 0 or size < 16:
        raise ValueError(
            f"images={images}, new={new}, size={size}: draw at least 1 photo of at least 16 pixels, and new=0 or more"
        )
    folder = Path(folder)
    names, labels = _paint_all(folder / "photos", "", range(images), seed, size)
    truth = LabelTable(names, CLASSES, labels, root=folder / "photos")
    _paint_all(folder / "new-photos", "", range(images, images + new), seed, size)
    truth.save(folder / "truth.csv")
    table = truth.hide("uniform", known=known, seed=seed)
    table.save(folder / "labels.csv")
    return table


def _paint_all(
    root: Path, part: str, chosen: range, seed: int, size: int
) -> tuple[tuple[str, ...], Int8[np.ndarray, "image class"]]:
    """Paint the scenes of the given numbers into a part of a folder, and return their paths and labels."""
    (root / part).mkdir(parents=True, exist_ok=True)
    images = tuple(Path(part, f"{number:05d}.jpg").as_posix() for number in chosen)
    labels = np.full((len(chosen), len(CLASSES)), ABSENT, np.int8)
    for row, number in enumerate(track(chosen, "Drawing scenes")):
        scene = plan(seed, number)
        labels[row, [CLASSES.index(thing) for thing in scene.present]] = PRESENT
        paint(scene, size).save(root / images[row], quality=92)
    return images, labels


def plan(seed: int, index: int = 0) -> Scene:
    """Plan the scene of a number: a place, and the things that are there."""
    rng = Random(f"partlabel {seed} {index}")
    name = rng.choice(list(PLACES))
    place = PLACES[name]
    horizon = rng.uniform(*place.horizon)
    wanted: list[str] = []
    while len(wanted) < 2:
        wanted = [thing for thing, chance in place.chances.items() if rng.random() < chance]
    if rng.random() < _STRANGER:
        wanted.append(rng.choice([thing for thing in CLASSES if thing != "mountain"]))
    placed: list[Placed] = []
    for thing in sorted(dict.fromkeys(wanted), key=lambda thing: -SIZES[thing][1]):
        for _ in range(rng.randint(1, SEVERAL.get(thing, 1)) if rng.random() < 0.6 else 1):
            tries = (_place(rng, thing, place, horizon) for _ in range(12))
            free = (one for one in tries if all(one.overlap(other) <= _HIDDEN for other in placed))
            placed += islice(free, 1)
    depth = {
        "horizon": 0,
        "sky": 1,
        "ceiling": 1,
        "water": 2,
        "surface": 2,
        "deep": 2,
        "kerb": 2,
        "ground": 3,
    }
    placed.sort(key=lambda one: (depth[place.band(one.thing)], one.y + one.size))
    return Scene(name, horizon, tuple(placed), rng.getrandbits(32))


def _place(rng: Random, thing: str, place: Place, horizon: float) -> Placed:
    """Find a free position for a thing."""
    least, most = SIZES[thing]
    size = place.scale * (least + (most - least) * rng.random() ** 1.3)
    top = horizon + place.ground
    match place.band(thing):
        case "sky":
            y = rng.uniform(0.08, horizon - place.sky)
        case "horizon":
            y = horizon + 0.05 - size
        case "water":
            y = rng.uniform(horizon + 0.03, horizon + 0.16) - size
        case "surface":
            y = horizon + 0.03 - size
        case "deep":
            y = rng.uniform(horizon + 0.12, 0.86)
        case "ceiling":
            y = rng.uniform(0.1, 0.26)
        case "kerb":
            y = horizon + rng.uniform(0.08, 0.15) - size
        case _:
            base = rng.uniform(top, 0.98)
            size *= 0.7 + 0.5 * (base - horizon) / (1 - horizon)
            y = base - size
    lean = 0.12 if thing in ("bird", "balloon", "fish", "star", "moon", "sun", "boat") else 0.0
    return Placed(
        thing, rng.uniform(0.06, 0.94), y, size, rng.random() < 0.5, rng.gauss(0, lean), rng.getrandbits(32)
    )


def paint(scene: Scene, size: int = 128) -> Image.Image:
    """Paint a scene as an RGB image of size x size pixels."""
    fine = size * _FINE
    image = Image.new("RGB", (fine, fine))
    sheet = ImageDraw.Draw(image, "RGBA")
    place = PLACES[scene.place]
    rng = Random(scene.seed)
    backdrop = Pen(sheet, rng, scene.place, fine, 0, 0, fine, 0, 0)

    def draw(band_is_sky: bool) -> None:
        for one in scene.placed:
            if (place.band(one.thing) in ("sky", "ceiling")) == band_is_sky:
                own = Pen(sheet, Random(one.seed), scene.place, fine, 0, 0, fine, 0, 0)
                DRAWINGS[one.thing](own.part(one.x, one.y, one.size, tilt=one.tilt, flip=one.flip))

    back, middle, front = place.layers
    back(backdrop, scene.horizon)
    draw(True)
    middle(backdrop, scene.horizon)
    draw(False)
    front(backdrop, scene.horizon)
    return _print(image.reduce(_FINE), rng)


def _print(image: Image.Image, rng: Random) -> Image.Image:
    """Give an image the look of a print: a tint, some grain, darker corners."""
    tint = Image.new(
        "RGB", image.size, rng.choice(((255, 214, 170), (255, 236, 200), (190, 205, 255), (255, 190, 190)))
    )
    image = Image.blend(image, ImageChops.multiply(image, tint), rng.uniform(0, 0.5))
    grain = _grain(image.width).transpose(rng.choice(list(Image.Transpose)))
    return Image.blend(image, ImageChops.overlay(image, grain), rng.uniform(0.3, 1.0))


@cache
def _grain(size: int) -> Image.Image:
    """Generate grey noise that is darker towards the corners."""
    noise = np.random.RandomState(0).normal(0, 9, (size, size))
    x = np.linspace(-1, 1, size)
    vignette = 134 - 14 * (x[:, None] ** 2 + x**2) ** 1.5
    return Image.fromarray((vignette + noise).clip(0, 255).astype(np.uint8)).convert("RGB")


def contact_sheet(rows: int = 3, columns: int = 6, seed: int = 0, size: int = 144) -> Image.Image:
    """Draw scenes of every kind side by side, with the present classes below each."""
    chosen: list[Scene] = []
    for index in numbers():
        scene, seen = plan(seed, index), Counter(one.place for one in chosen)
        if len(scene.present) > 2 and seen[scene.place] <= len(chosen) // len(PLACES):
            chosen.append(scene)
        if len(chosen) == rows * columns:
            break
    gap, caption = 6, 24
    sheet = Image.new("RGB", (columns * (size + gap) + gap, rows * (size + caption + gap) + gap), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for k, scene in enumerate(chosen):
        x, y = gap + k % columns * (size + gap), gap + k // columns * (size + caption + gap)
        sheet.paste(paint(scene, size), (x, y))
        names = sorted(scene.present)
        cut = (len(names) + 1) // 2 if pen.textlength(", ".join(names), font) > size else len(names)
        lines = ",\n".join(", ".join(part) for part in (names[:cut], names[cut:]) if part)
        pen.multiline_text((x + size / 2, y + size + 1), lines, "#4a302c", font, "ma", 1, "center")
    return sheet
