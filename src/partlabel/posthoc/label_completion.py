"""Label completion: the known labels of an image inform its unknown ones.

The intra-image half of SST (Chen et al., AAAI 2022, arXiv:2112.10941), applied when a table is filled: a known "dress"
makes "trousers" unlikely. The evidence of a known label is its *surprise*, `y - p`, the error of the recogniser, so
that it adds only information that the image does not contain:

    logit_c += sum over known j != c of votes[c, j] (y_j - p_j)

The weights `votes` are a ridge-penalised logistic regression on the known labels of the training images, each predicted
from the others of its image. The penalty is chosen on validation images; where no weights are better than the
recogniser alone, none are used. It works on the logits of any method. Results on real photos: docs/log.md.

The evidence source `co_occurrence` counts pairs of labels for the teacher in training, before there are final logits.
This model is fitted on them and stays beside it: a known label counts by what the image did not already say, and each
answer in a review changes the log-odds at once, with or without texts.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int8
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from partlabel.core.files import atomic_write, read_tensors
from partlabel.core.labels import PRESENT, UNKNOWN

PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
REMEDY = (
    "copy it again from the source of the model; without the file tables are filled without label completion"
)
MOST_CLASSES = 4_000
"""Maximum number of classes. One weight per pair of classes, about thirty times over while they are fitted, takes 2 GB.
"""


@dataclass(frozen=True, eq=False)
class Completion:
    """Weights of known labels as evidence for the others.

    Attributes:
        votes: `votes[c, j]`: change of the log-odds of class c per unit of surprise about class j; 0 on the diagonal.
    """

    votes: Float[np.ndarray, "class class"]

    def logits(
        self, logits: Float[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"]
    ) -> Float[np.ndarray, "image class"]:
        """Add the evidence of each image's known labels to the logits; ignore the result for labels that are known."""
        return logits + _surprise(*_tensors(logits, labels)).numpy() @ self.votes.T

    def save(self, path: Path) -> None:
        """Write it as safetensors."""
        from safetensors.numpy import save_file

        with atomic_write(path) as aside:
            save_file({"votes": np.ascontiguousarray(self.votes)}, aside)

    @classmethod
    def load(cls, path: Path) -> "Completion":
        """Read the file that `save` wrote.

        Raises:
            ValueError: The file is damaged, or is not of this format.
        """
        from safetensors.numpy import load_file

        found = read_tensors(path, load_file, REMEDY)
        if "votes" not in found:
            raise ValueError(f"{path} holds no weights (votes); {REMEDY}")
        return cls(found["votes"])


def fit_completion(
    logits: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    val_logits: Float[np.ndarray, "val class"],
    val_labels: Int8[np.ndarray, "val class"],
    penalties: Sequence[float] = PENALTIES,
) -> Completion | None:
    """Fit the weights to the known labels of training images, if they help on validation images.

    Memory and time grow with the square of the number of classes; above `MOST_CLASSES` nothing is fitted.

    Args:
        logits: Logits of training images.
        labels: Labels of training images.
        val_logits: Logits of validation images.
        val_labels: Labels of validation images.
        penalties: Candidate penalties on the squared weights.

    Returns:
        The weights; None if the recogniser alone explains the known validation labels at least as well, or if there are
        too many classes.

    Warns:
        UserWarning: There are too many classes.
    """
    if too_many(logits.shape[1]):
        return None
    z, y = _tensors(logits, labels)
    val_z, val_y = _tensors(val_logits, val_labels)
    nothing = z.new_zeros(z.shape[1], z.shape[1])
    best, least = None, _cost(val_z, val_y, nothing)
    for penalty in penalties:
        votes = _regress(z, y, penalty)
        if (cost := _cost(val_z, val_y, votes)) < least:
            best, least = votes, cost
    return None if best is None else Completion(best.numpy())


def too_many(classes: int) -> bool:
    """Return whether there are more classes than completion supports; warns if so."""
    if classes > MOST_CLASSES:
        warnings.warn(
            f"no label completion is fitted (completion): {classes:,} classes are more than {MOST_CLASSES:,}, "
            "and a weight for each pair of them takes too much memory",
            stacklevel=3,
        )
    return classes > MOST_CLASSES


def _regress(
    z: Float[Tensor, "image class"], y: Int8[Tensor, "image class"], penalty: float
) -> Float[Tensor, "class class"]:
    votes = z.new_zeros(z.shape[1], z.shape[1]).requires_grad_()
    others = 1 - torch.eye(z.shape[1])
    surprise, known, truth = _surprise(z, y), (y != UNKNOWN).float(), (y == PRESENT).float()
    optimiser = torch.optim.LBFGS([votes], max_iter=60, history_size=10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        odds = z + surprise @ (votes * others).T
        misfit = binary_cross_entropy_with_logits(odds, truth, known, reduction="sum")
        loss = misfit + penalty / 2 * votes.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return (votes * others).detach()


def _cost(
    z: Float[Tensor, "image class"], y: Int8[Tensor, "image class"], votes: Float[Tensor, "class class"]
) -> float:
    """Compute the cross-entropy of known labels, each predicted from the image and its other known labels."""
    odds, known = z + _surprise(z, y) @ votes.T, (y != UNKNOWN).float()
    return float(binary_cross_entropy_with_logits(odds, (y == PRESENT).float(), known, reduction="sum"))


def _surprise(
    z: Float[Tensor, "image class"], y: Int8[Tensor, "image class"]
) -> Float[Tensor, "image class"]:
    return torch.where(y == UNKNOWN, 0.0, (y == PRESENT).float() - z.sigmoid())


def _tensors(
    logits: Float[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"]
) -> tuple[Float[Tensor, "image class"], Int8[Tensor, "image class"]]:
    return torch.from_numpy(np.asarray(logits, np.float32)), torch.from_numpy(np.array(labels))
