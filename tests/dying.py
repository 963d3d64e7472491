"""A run that can be killed: a head with dropout that kills its own process in a given training step, as `kill -9` does.

Run as a script it trains on a folder of photos: `python dying.py photos out step key=value ...`.
"""

import os
import signal
import sys
from pathlib import Path

import torch

from partlabel import LabelTable, Tagger
from partlabel.nn.heads import ClassOutput
from partlabel.nn.heads.ssgrl import SSGRL


class Dying(SSGRL):
    """SSGRL's head with dropout.

    Args:
        channels: Of the feature map.
        classes: What is told apart.
        dim: Length of a class's feature.
    """

    step = None
    """The training step, counted from 0, in which to die."""

    def __init__(self, channels, classes, dim=8):
        super().__init__(channels, classes, dim=dim, attention_dim=8, output_dim=8)
        self.steps_taken = 0

    def forward(self, feature_map):
        if self.training:
            if self.steps_taken == self.step:
                os.kill(os.getpid(), signal.SIGKILL)
            self.steps_taken += 1
        out = super().forward(torch.nn.functional.dropout(feature_map, 0.3, self.training))
        return ClassOutput(*out)


TRANSFER = {"start_epoch": 1, "intra_threshold": 0.4, "cross_threshold": 0.2, "threshold_step": 0.1,
            "threshold_floor": 0.1, "memory_size": 3, "pair_dim": 4, "pair_hidden_dim": 4}  # fmt: skip


def train(collection, out, resume=False, **options):
    """SST on the train part of the collection, all that is random in use."""
    table = LabelTable.read(Path(collection) / "labels.csv", Path(collection) / "photos")
    tagger = Tagger(
        table.classes,
        "sst",
        TRANSFER,
        head="dying.Dying",
        backbone="test_resnet",
        pretrained=False,
        image_size=64,
    )
    settings = {"epochs": 4, "batch_size": 4, "lr": 0.01, "val": 0.2, "seed": 3, "accelerator": "cpu"}
    return tagger.fit(table, out=out, resume=resume, **(settings | options))


if __name__ == "__main__":
    torch.set_num_threads(1)
    import dying  # the class that the tagger finds by its dotted path is not that of `__main__`

    dying.Dying.step = int(sys.argv[3])
    given = dict(word.split("=") for word in sys.argv[4:])
    values = {key: int(value) if value.isdigit() else value for key, value in given.items()}
    if "ema" in values:
        values["ema"] = float(values["ema"])
    train(sys.argv[1], sys.argv[2], **values)
