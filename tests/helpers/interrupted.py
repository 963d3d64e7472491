"""Training on made images, and its interruption by a signal: as a script, in a process of its own.

`python interrupted.py folder number` trains, is sent the signal of that number in the second epoch, and prints the
message of the interruption and whether the handlers of signals are those of before, as JSON.
"""

import json
import signal
import sys

import torch

import together
from partlabel.data.images.loader import loader
from partlabel.methods.bce import BCE
from partlabel.nn.classes import Classes
from partlabel.nn.heads.average import Average
from partlabel.training.config import TrainingConfig
from partlabel.training.lightning_module import TrainingModule
from partlabel.training.run_folder import Run
from partlabel.training.trainer import fit


def go(folder, images=None, kind=BCE, resume=False, workers=0):
    """Train on made images, three epochs of four batches."""
    config = TrainingConfig(epochs=3, batch_size=7, lr=0.01, accelerator="cpu")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        method = kind(together.Maps(), Average(together.Maps.channels, Classes(together.CLASSES)))
    images = images or together.Made(together.TRAINED, 1)
    learner = TrainingModule(method, config, together.CLASSES, [f"{n}.jpg" for n in range(len(images))])
    run = Run(folder)
    fit(learner, loader(images, 7, True, workers=workers), None, run, run.last if resume else None)
    return run


class Stopped(BCE):
    """Is sent a signal in its second epoch."""

    signal = None

    def step(self, batch, progress):
        if (progress.epoch, progress.batch) == (1, 1) and self.signal is not None:
            signal.raise_signal(self.signal)
        return super().step(batch, progress)


def main(folder, number):
    """Train until the signal comes, and print what is said of it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a process in the background ignores
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    Stopped.signal = int(number)
    try:
        go(folder, kind=Stopped)
    except KeyboardInterrupt as error:
        after = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
        print(json.dumps([str(error), after == before]))


if __name__ == "__main__":
    main(*sys.argv[1:])
