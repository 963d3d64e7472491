"""Photos drawn for the tests: squares of the present colours on grey."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (40, 70, 220), "yellow": (240, 210, 40)}


def draw_photos(folder: Path, count: int, seed: int = 0) -> np.ndarray:
    """Draw `00.png`, `01.png`, ... of 64 px, squares of the present colours in each; gives the full labels, int8."""
    random = np.random.RandomState(seed)
    labels = (random.rand(count, len(COLOURS)) < 0.4).astype(np.int8)
    folder.mkdir(parents=True, exist_ok=True)
    for row, present in enumerate(labels):
        image = Image.new("RGB", (64, 64), tuple(int(grey) for grey in random.randint(90, 140, 3)))
        draw = ImageDraw.Draw(image)
        for colour, there in zip(COLOURS.values(), present, strict=True):
            if there:
                x, y = (int(place) for place in random.randint(0, 40, 2))
                draw.rectangle((x, y, x + 22, y + 22), fill=colour)
        image.save(folder / f"{row:02}.png")
    return labels
