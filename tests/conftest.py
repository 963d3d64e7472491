"""What several test files share: a tiny folder of photos with a half-filled table, and the real photos."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

COLOURS = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (40, 70, 220), "yellow": (240, 210, 40)}


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real collections (coco18, ccp, ...); tests that need it are skipped without it."""
    folder = os.environ.get("PARTLABEL_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("PARTLABEL_DATA names no folder of real photos")
    return Path(folder)


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


@pytest.fixture(scope="session")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`photos/` with 32 drawings and `labels.csv`: 24 train rows, a third of their cells blank, and 8 test rows."""
    folder = tmp_path_factory.mktemp("collection")
    labels = draw_photos(folder / "photos", 32)
    blank = np.random.RandomState(1).rand(*labels.shape) < 1 / 3
    blank[24:] = False
    with open(folder / "labels.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "split", *COLOURS])
        for row, (present, hidden) in enumerate(zip(labels, blank, strict=True)):
            cells = ["" if hide else int(there) for there, hide in zip(present, hidden, strict=True)]
            writer.writerow([f"{row:02}.png", "train" if row < 24 else "test", *cells])
    return folder
