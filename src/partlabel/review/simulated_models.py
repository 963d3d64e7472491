"""Models of a simulated review, fitted again after each round of answers by the solver of `partlabel train`.

Without texts, a linear head is fitted to the known labels (`bce`), and its probabilities order the questions. With
texts beside the training photos, the method `evidence` fits it, and the probabilities of its teacher, which has the
texts, order the questions, as in `partlabel review`. Test images are scored without texts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Int8
from torch import Tensor, nn

from partlabel.core.labels import UNKNOWN
from partlabel.core.types import TextFeatures
from partlabel.data.tables import statistics
from partlabel.methods.bce import BCE
from partlabel.methods.evidence import Evidence
from partlabel.nn import heads
from partlabel.nn.classes import Classes
from partlabel.nn.heads import Head
from partlabel.nn.heads.average import Average
from partlabel.nn.linear_path import Design
from partlabel.selection.advice import unknown_weight
from partlabel.selection.cross_validation import Problem, folds, predict
from partlabel.training.config import TrainingConfig

SimulationFeatures = Float[Tensor, "image channel 1 1"]
FOLDS = 3
"""Folds of the out-of-fold predictions that a teacher learns from."""


def design_of(images: SimulationFeatures, classes: Sequence[str], head: str) -> Design:
    """Rotate the pooled features of training images for the solver, which does not change from round to round."""
    made = heads.get(head)(images.shape[1], Classes(tuple(classes)))
    assert isinstance(made, Average)
    with torch.no_grad():
        return Design.of(made.pooled(images))


class RoundPredictions(NamedTuple):
    """Predictions of a model.

    Attributes:
        probability: Probability of every training label, with texts where there are some.
        test: Logits of the test images, by the image alone.
    """

    probability: Float32[np.ndarray, "image class"]
    test: Float32[np.ndarray, "test class"]


@torch.no_grad()
def round_predictions(
    images: SimulationFeatures,
    labels: Int8[np.ndarray, "image class"],
    design: Design,
    text: TextFeatures | None,
    test: Float[Tensor, "test channel 1 1"],
    classes: Sequence[str],
    head: str,
    config: TrainingConfig,
) -> RoundPredictions:
    """Fit a new model to the known labels, and predict.

    Args:
        images: Features of the training images.
        labels: Their labels.
        design: Their features, rotated for the solver.
        text: Features of their texts; None without texts.
        test: Features of the test images.
        classes: Class names.
        head: Name of the head.
        config: Training configuration: random seed and weight decay.
    """
    made = new_head(images, labels, classes, head, config.seed)
    known = torch.from_numpy(np.array(labels))
    if text is None:
        alone = BCE(nn.Identity(), made)
        alone.fit_full_batch(Problem(images, known, design, config.decay, torch.zeros(len(known)).long()))
        return RoundPredictions(predict(alone, images).sigmoid().numpy(), predict(alone, test).numpy())
    problem = Problem(images, known, design, config.decay, folds(known, FOLDS, config.seed), text=text)
    method = Evidence(nn.Identity(), made, unknown_weight(known))
    probability = torch.where(known == UNKNOWN, method.taught(problem).value, known.float())
    method.fit_full_batch(problem)
    return RoundPredictions(probability.numpy(), predict(method, test).numpy())


def new_head(
    images: SimulationFeatures,
    labels: Int8[np.ndarray, "image class"],
    classes: Sequence[str],
    head: str,
    seed: int,
) -> Head:
    """Build a head that is not trained."""
    prevalence = torch.from_numpy(statistics.prevalence(labels))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return heads.get(head)(images.shape[1], Classes(tuple(classes), prevalence=prevalence))
