"""Models of a simulated review, trained again after each round of answers.

Without texts, a head is trained by BCE on the known labels, and its probabilities order the questions. With texts
beside the training photos, the method `evidence` trains it, as in `partlabel train`; the probabilities of its teacher,
which has the texts, order the questions, as in `partlabel review`. Test images are scored without texts.
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
from partlabel.training.in_memory import train_in_memory

SimulationFeatures = Float[Tensor, "image channel 1 1"]
FOLDS = 3
"""Folds of the out-of-fold predictions that a teacher learns from."""


class Beside(NamedTuple):
    """Texts of the training images, and what does not change from round to round.

    Attributes:
        text: Features of the texts.
        design: Pooled features of the training images, rotated for the solver.
    """

    text: TextFeatures
    design: Design

    @classmethod
    def of(
        cls, text: TextFeatures, images: SimulationFeatures, classes: Sequence[str], head: str
    ) -> "Beside | None":
        """Prepare the texts of images; None if no image has a text."""
        if not text.available.any():
            return None
        made = heads.get(head)(images.shape[1], Classes(tuple(classes)))
        assert isinstance(made, Average)
        with torch.no_grad():
            return cls(text, Design.of(made.pooled(images)))


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
    beside: Beside | None,
    test: Float[Tensor, "test channel 1 1"],
    classes: Sequence[str],
    head: str,
    config: TrainingConfig,
) -> RoundPredictions:
    """Train a new model on the known labels, and predict.

    Args:
        images: Features of the training images.
        labels: Their labels.
        beside: Their texts; None without texts.
        test: Features of the test images.
        classes: Class names.
        head: Name of the head.
        config: Training configuration.
    """
    if beside is None:
        model = fitted(images, labels, classes, head, config)
        return RoundPredictions(model(images).logits.sigmoid().numpy(), model(test).logits.numpy())
    made = new_head(images, labels, classes, head, config.seed)
    known = torch.from_numpy(np.array(labels))
    fold = folds(known, FOLDS, config.seed)
    problem = Problem(images, known, beside.design, config.decay, fold, text=beside.text)
    method = Evidence(nn.Identity(), made, unknown_weight(known))
    probability = torch.where(known == UNKNOWN, method.taught(problem).value, known.float())
    method.fit_full_batch(problem)
    return RoundPredictions(probability.numpy(), predict(method, test).numpy())


def fitted(
    images: SimulationFeatures,
    labels: Int8[np.ndarray, "image class"],
    classes: Sequence[str],
    head: str,
    config: TrainingConfig,
) -> Head:
    """Train a new head on features, by BCE on the known labels."""
    made = new_head(images, labels, classes, head, config.seed)
    with torch.enable_grad():
        train_in_memory(BCE(nn.Identity(), made), images, labels, config)
    return made.eval()


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
