"""A tagger for tests that trains in a second: its network and settings, and the words that are typed to train it."""

from pathlib import Path

SMALL = {"backbone": "test_resnet", "pretrained": False, "image_size": 32}
QUICK = {"epochs": 1, "batch_size": 8, "val": 0.25, "accelerator": "cpu", "lr": 0.01, "weight_decay": 0.02}


def train_words(collection: Path) -> list[str]:
    """Return the words of a training of `bce` on a folder with `labels.csv` and `photos`."""
    return [
        *("train", str(collection / "labels.csv"), "--images", str(collection / "photos")),
        *("--method", "bce"),
    ]
