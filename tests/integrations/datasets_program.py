"""Read and write data sets by Hugging Face's `datasets`, run in an environment of its own; nothing is downloaded.

    python datasets_program.py read NAME PATH        # the rows that load_dataset(NAME) finds, as JSON
    python datasets_program.py write DATASET.json OUT

`NAME` is `csv`, `parquet` or `json`, of a file, or `imagefolder`, of a folder. `DATASET.json` has `classes`, and
`items`: name, part, and the numbers of its classes; a parquet file for each coding of the labels is written for each
part.
"""

import json
import sys
from pathlib import Path

import numpy as np
from datasets import ClassLabel, Dataset, Features, Image, List, Value, load_dataset
from PIL import Image as Photo


def read(name: str, path: str) -> list[dict]:
    """Return the rows of all parts; images as their paths."""
    where = {"data_dir": path} if name == "imagefolder" else {"data_files": path}
    found = load_dataset(name, **where)
    rows = []
    for part in found.values():
        if "image" in part.features and isinstance(part.features["image"], Image):
            part = part.cast_column("image", Image(decode=False))
        rows += [
            {**row, "image": row["image"]["path"] if isinstance(row["image"], dict) else row["image"]}
            for row in part
        ]
    return rows


def write(classes: list[str], items: list, folder: Path) -> None:
    """Write the items in each coding that the hub has."""
    codings = {
        "ids": (List(ClassLabel(names=classes)), lambda numbers: numbers),
        "names": (List(Value("string")), lambda numbers: [classes[number] for number in numbers]),
    }
    for coding, (feature, labels_of) in codings.items():
        features = Features({"image": Image(), "labels": feature})
        _written(
            folder / coding,
            features,
            items,
            lambda numbers, labels_of=labels_of: {"labels": labels_of(numbers)},
        )
    features = Features({"image": Image(), **{name: Value("bool") for name in classes}})
    _written(
        folder / "columns",
        features,
        items,
        lambda numbers: {name: number in numbers for number, name in enumerate(classes)},
    )


def _written(folder: Path, features: Features, items: list, labels_of) -> None:
    folder.mkdir(parents=True)
    photo = Photo.fromarray(np.zeros((8, 8, 3), np.uint8))
    for part in dict.fromkeys(part for _, part, _ in items):
        rows = [{"image": photo, **labels_of(numbers)} for _, of, numbers in items if of == part]
        Dataset.from_list(rows, features=features).to_parquet(folder / f"{part}-00000-of-00001.parquet")


if __name__ == "__main__":
    if sys.argv[1] == "read":
        print(json.dumps(read(*sys.argv[2:])))
    else:
        given = json.loads(Path(sys.argv[2]).read_text())
        write(given["classes"], given["items"], Path(sys.argv[3]))
