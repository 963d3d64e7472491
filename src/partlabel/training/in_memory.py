"""Training of a head on features in memory, without a run folder: for many short trainings in a row."""

import numpy as np
import torch
from jaxtyping import Float, Int8
from torch import Tensor

from partlabel.core.types import Batch, Progress
from partlabel.data.images.loader import Batches
from partlabel.methods import Method
from partlabel.training.config import TrainingConfig
from partlabel.training.optimizer import optimizer, schedule


def train_in_memory(
    method: Method,
    features: Float[Tensor, "image channel height width"],
    labels: Int8[np.ndarray, "image class"],
    config: TrainingConfig,
) -> None:
    """Train a method to the last epoch, with the optimiser, the schedule and the order of images of a training run.

    Args:
        method: Method whose backbone takes the features; trained in place, and left in eval mode.
        features: Features of all images.
        labels: Their labels.
        config: Epochs, batch size, optimiser, schedule and random seed; other fields are not used.
    """
    method.train()
    batches = Batches(len(labels), config.batch_size, shuffle=True, seed=config.seed)
    learner = optimizer(method, config)
    rates = schedule(learner, config, config.epochs * len(batches))
    known, step = torch.from_numpy(np.array(labels)), 0
    for epoch in range(config.epochs):
        batches.set_epoch(epoch)
        for number, asked in enumerate(batches):
            index = torch.tensor(asked.rows)
            progress = Progress(epoch, step, number, len(batches), config.epochs, config.seed)
            terms = method.step(Batch(features[index], known[index], index), progress).terms
            learner.zero_grad()
            torch.stack(list(terms.values())).sum().backward()
            learner.step()
            rates.step()
            step += 1
    method.eval()
