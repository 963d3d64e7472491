"""Completion: in an image that is partly labelled, the known labels vote for the unknown ones.

The intra-image half of SST (Chen et al., AAAI 2022, arXiv:2112.10941) at the moment a table is filled: a person who
said "dress" has said a lot about "trousers". A known label votes by its *surprise*, `y - p`, what the recogniser did
not see coming; so a vote carries only what the image did not already say:

    logit_c += sum over known j != c of votes[c, j] (y_j - p_j)

The votes are a ridge-penalised logistic regression on the known labels of the training images, each predicted from
the others of its image. The penalty is chosen on validation images; where no votes beat the recogniser alone, there are
none. Works on the logits of any method. docs/log.md has what it does on real photos.
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
MEND = "copy it again from where the model came from; without the file nothing votes when tables are filled"
MOST_CLASSES = 4_000
"""Beyond which there are no votes: a vote for every pair, about thirty times over while they are found, are 2 GB."""


@dataclass(frozen=True, eq=False)
class Completion:
    """What known labels say of the others.

    Attributes:
        votes: `votes[c, j]`: what a surprise of one about class j adds to the log-odds of class c; 0 on the diagonal.
    """

    votes: Float[np.ndarray, "class class"]

    def logits(
        self, logits: Float[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"]
    ) -> Float[np.ndarray, "image class"]:
        """The logits after the vote of each image's known labels; those of known labels are none's business."""
        return logits + _surprise(*_tensors(logits, labels)).numpy() @ self.votes.T

    def save(self, path: Path) -> None:
        """Write it as safetensors."""
        from safetensors.numpy import save_file

        with atomic_write(path) as aside:
            save_file({"votes": np.ascontiguousarray(self.votes)}, aside)

    @classmethod
    def load(cls, path: Path) -> "Completion":
        """Read what `save` wrote.

        Raises:
            ValueError: It is damaged, or something else.
        """
        from safetensors.numpy import load_file

        found = read_tensors(path, load_file, MEND)
        if "votes" not in found:
            raise ValueError(f"{path} holds no votes; {MEND}")
        return cls(found["votes"])


def fit_completion(
    logits: Float[np.ndarray, "image class"],
    labels: Int8[np.ndarray, "image class"],
    val_logits: Float[np.ndarray, "val class"],
    val_labels: Int8[np.ndarray, "val class"],
    penalties: Sequence[float] = PENALTIES,
) -> Completion | None:
    """The votes that explain the known labels of training images best, if they help on validation images.

    Memory and time go by the square of the number of classes; of more than `MOST_CLASSES` none are looked for.

    Args:
        logits: The recogniser's, of training images.
        labels: Theirs.
        val_logits: The recogniser's, of other images.
        val_labels: Theirs.
        penalties: To choose from, on the squares of the votes.

    Returns:
        The votes; None if the recogniser alone explains the known validation labels at least as well, or if there are
        too many classes.

    Warns:
        UserWarning: There are.
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
    """Whether there are more classes than votes are looked for; says so."""
    if classes > MOST_CLASSES:
        warnings.warn(
            f"no votes of known labels are learned (completion): {classes:,} classes are more than {MOST_CLASSES:,}, "
            "and all pairs of them take too much memory",
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
    """Cross-entropy of the known labels, each predicted from the image and the image's other known labels."""
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
