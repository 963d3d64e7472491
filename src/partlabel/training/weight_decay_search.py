"""Search of the weight decay of a method trained by steps, by training with a few values (docs/selection.md)."""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch

from partlabel.core.files import read_json, write_json
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.splits import Parts
from partlabel.methods import Method
from partlabel.selection.criteria import unexplained
from partlabel.selection.table import VALIDATION
from partlabel.training.config import WEIGHT_DECAY, TrainingConfig
from partlabel.training.datasets import InputView
from partlabel.training.run_folder import Run
from partlabel.training.training_run import TrainingRun

TRIALS = "search"
"""Subfolder of the run folder, for trainings with one weight decay each."""
DECAY_STEP, MOST_STEPS = 4.0, 6
"""Factor between the weight decays that are tried by training, and maximum number of steps in either direction."""


def decay_by_steps(
    start: Callable[[], Method],
    view: InputView,
    config: TrainingConfig,
    parts: Parts,
    truth: LabelTable | None,
    run: Run,
) -> float:
    """Find the weight decay of a method that is trained by steps, by training with a few values.

    A geometric path around the default is extended while its last value is best. The training with the best value is
    moved to the run folder, as if it were the only one; an interrupted search continues where it stopped.

    Args:
        start: Function that returns the method before training, with its backbone's pooling fitted.
        view: Image side in pixels, and the normalisation that the backbone expects.
        config: Training configuration.
        parts: Training images, and the validation set, which decides.
        truth: Ground truth of the training images; None if there is none.
        run: Run folder.
    """
    began, tried = time.monotonic(), dict[float, float]()

    def cost(decay: float) -> float:
        if decay not in tried:
            here = _trial(run, decay)
            options = replace(config, weight_decay=decay, completion=False)
            checkpoint = here.last if here.last.exists() else None
            training = TrainingRun(start(), view, options, parts, here, truth, checkpoint, pooled=True)
            training.train()
            logits = training.complete().val_logits
            assert logits is not None and parts.val is not None
            labels = torch.from_numpy(np.array(parts.val.labels))
            tried[decay] = unexplained(torch.from_numpy(logits), labels)
        return tried[decay]

    if run.selection.exists():
        return float(read_json(run.selection)["winner"]["weight_decay"])
    best = _descend(cost)
    for path in sorted(_trial(run, best).folder.iterdir()):
        path.rename(run.folder / path.name)
    _write_tried(run, tried, parts, time.monotonic() - began)
    shutil.rmtree(run.folder / TRIALS)
    return best


def _trial(run: Run, decay: float) -> Run:
    """Return the folder of the training with a weight decay."""
    return Run(run.folder / TRIALS / f"{decay:g}")


def _descend(cost: Callable[[float], float]) -> float:
    """Find the weight decay of lowest cost on a path around the default, extended while its end is best."""
    best = WEIGHT_DECAY
    for factor in (DECAY_STEP, 1 / DECAY_STEP):
        for _ in range(MOST_STEPS):
            if cost(_round(best * factor)) >= cost(best):
                break
            best = _round(best * factor)
    return best


def _round(decay: float) -> float:
    return float(f"{decay:.3g}")


def _write_tried(run: Run, tried: Mapping[float, float], parts: Parts, seconds: float) -> None:
    """Write the weight decays that were tried, in the format of `selection.json`."""
    settings = read_json(run.config)["tagger"]
    shared = {"method": settings["method"], "method_args": settings["method_args"], "head": settings["head"]}
    candidates = [
        shared | {"weight_decay": decay, "cost": cost, "seconds": round(seconds / len(tried), 2)}
        for decay, cost in sorted(tried.items(), key=lambda each: each[1])
    ]
    assert parts.val is not None
    found = {
        "criterion": unexplained.__name__,
        "images": len(parts.val),
        "known": parts.val.known,
        "folds": 0,
        "seconds": round(seconds, 2),
        "winner": candidates[0],
        "candidates": candidates,
        "evaluated_on": VALIDATION,
    }
    write_json(run.selection, found)
