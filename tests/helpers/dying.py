"""Runs that can be killed, as `kill -9` does: in a given training step, or at a given moment of any kind.

As a script, `python dying.py photos out step key=value ...` trains on a folder of photos and dies in that step.
`python dying.py` alone takes one run after the other from its standard input and forks for each, so that they share
the time that imports take.
"""

import inspect
import json
import os
import signal
import sys
import traceback
from pathlib import Path

import torch

from partlabel import LabelTable, Tagger, methods
from partlabel.nn.heads import ClassOutput
from partlabel.nn.heads.residual import Powered, Residual
from partlabel.nn.heads.ssgrl import SSGRL


def kill_oneself(*_):
    """Kill this process, as a worker that runs out of memory is killed."""
    os.kill(os.getpid(), signal.SIGKILL)


class Moments:
    """Counts what happens: passes through the head, and files before and after they are put in place.

    Attributes:
        passed: How many there were.
        last: The one to die in; None to live.
    """

    passed = 0
    last = None

    @classmethod
    def tick(cls):
        if cls.passed == cls.last:
            kill_oneself()
        cls.passed += 1

    @classmethod
    def watch_files(cls):
        replace = os.replace

        def watched(*paths):
            cls.tick()
            replace(*paths)
            cls.tick()

        os.replace = watched


class Dying(SSGRL):
    """SSGRL's head with dropout.

    Args:
        channels: Number of channels of the feature map.
        classes: What is told apart.
        dim: Length of a class's feature.
    """

    step = None
    """The training step, counted from 0, in which to die."""

    def __init__(self, channels, classes, dim=8):
        super().__init__(channels, classes, dim=dim, attention_dim=8, output_dim=8)
        self.steps_taken = 0

    def forward(self, feature_map):
        Moments.tick()
        if self.training:
            if self.steps_taken == self.step:
                kill_oneself()
            self.steps_taken += 1
        out = super().forward(torch.nn.functional.dropout(feature_map, 0.3, self.training))
        return ClassOutput(*out)


class Fading(Residual):
    """The residual head with dropout, which has a feature of the image too.

    Args:
        channels: Number of channels of the feature map.
        classes: What is told apart.
    """

    def prepare(self, feature_map):
        if isinstance(feature_map, Powered):
            return feature_map
        Moments.tick()
        return super().prepare(torch.nn.functional.dropout(feature_map, 0.3, self.training))


TRANSFER = {"start_epoch": 1, "intra_threshold": 0.4, "cross_threshold": 0.2, "threshold_step": 0.1,
            "threshold_floor": 0.1, "memory_size": 3, "pair_dim": 4, "pair_hidden_dim": 4}  # fmt: skip


def train(collection, out, resume=False, method="sst", head="dying.Dying", words=None, **options):
    """A method on the train part of the collection, all that is random in use."""
    table = LabelTable.read(Path(collection) / "labels.csv", Path(collection) / "photos")
    known = inspect.signature(methods.get(method)).parameters
    tagger = Tagger(
        table.classes,
        method,
        {name: value for name, value in TRANSFER.items() if name in known},
        head=head,
        words=words,
        backbone="test_resnet",
        pretrained=False,
        image_size=64,
    )
    settings = {
        "epochs": 4,
        "batch_size": 4,
        "lr": 0.01,
        "val": 0.2,
        "seed": 3,
        "accelerator": "cpu",
        "weight_decay": 0.02,
    }
    return tagger.fit(table, out=out, resume=resume, **(settings | options))


def serve():
    """Take runs, as JSON a line, and say how each ended: its exit code, and how many moments it had."""
    import iterstrat.ml_stratifiers  # noqa: F401
    import timm  # noqa: F401

    import partlabel.reporting.run_report
    import partlabel.training.fitting
    import partlabel.training.trainer

    partlabel.reporting.run_report.build = lambda *args, **options: None  # drawing takes longer than training
    for line in sys.stdin:
        ended, passed = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                asked = json.loads(line)
                Moments.last = asked.pop("last")
                Moments.watch_files()
                train(**asked)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os.write(passed, str(Moments.passed).encode())
                os._exit(code)
        os.close(passed)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(status, os.read(ended, 20).decode() or None, flush=True)
        os.close(ended)


if __name__ == "__main__":
    torch.set_num_threads(1)
    import dying  # the class that the tagger finds by its dotted path is not that of `__main__`

    if len(sys.argv) == 1:
        dying.serve()
        sys.exit()
    dying.Dying.step = int(sys.argv[3])
    given = dict(word.split("=") for word in sys.argv[4:])
    values = {key: int(value) if value.isdigit() else value for key, value in given.items()}
    if "ema" in values:
        values["ema"] = float(values["ema"])
    train(sys.argv[1], sys.argv[2], **values)
