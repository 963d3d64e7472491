"""Write a small data set in the formats that Datumaro exports, run in Datumaro's own environment.

    python datumaro_program.py DATASET.json OUT FORMAT...

`DATASET.json` has `classes`, and `items`: name, part, and the numbers of its classes. Every class of an item is a label
and a box, because formats keep one or the other.
"""

import json
import sys
from pathlib import Path

import numpy as np
from datumaro.components.annotation import Bbox, Label
from datumaro.components.dataset import Dataset
from datumaro.components.dataset_base import DatasetItem
from datumaro.components.media import Image


def item(name: str, part: str, numbers: list[int]) -> DatasetItem:
    """Return an image of 8 x 8 pixels with a label and a box for each class."""
    image = Image.from_numpy(np.zeros((8, 8, 3), np.uint8), ext=".jpg")
    labels = [Label(number) for number in numbers]
    boxes = [Bbox(1, 1, 3, 3, label=number, id=at, group=at) for at, number in enumerate(numbers)]
    return DatasetItem(id=name, subset=part, media=image, annotations=[*labels, *boxes])


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    dataset = Dataset.from_iterable([item(*each) for each in given["items"]], categories=given["classes"])
    for name in sys.argv[3:]:
        dataset.export(str(Path(sys.argv[2]) / name), name, save_media=True)
