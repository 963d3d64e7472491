"""Cross-validation: division of images into folds, and the full-batch problem that is passed to methods."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from partlabel.core.labels import ABSENT, PRESENT
from partlabel.core.targets import Labels, Targets
from partlabel.methods import Method
from partlabel.nn.heads import Head
from partlabel.nn.heads.average import Average
from partlabel.selection.linear_path import Design, solve

ALIGNED_BY = 500
"""Maximum number of images whose mean logits align the models of the folds, for models that are not linear."""
AT_ONCE = 1024
"""Images per batch of a method's prediction."""
INNER_FOLDS = 3
"""Folds within the training part of a fold, for methods that learn from out-of-fold predictions."""
FINAL_TOLERANCE = 1e-8
"""Tolerance of `linear_path.solve` for fits that are kept."""


def folds(
    labels: Labels, count: int, seed: int = 0, groups: Sequence[str] | None = None
) -> Int64[Tensor, " image"]:
    """Divide images into folds, with the present and absent labels of each class spread evenly.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011): from the rarest kind of label on, each
    image that has it and has no fold yet is assigned to the fold with the fewest labels of that kind.

    Args:
        labels: PRESENT, ABSENT or UNKNOWN.
        count: Number of folds.
        seed: Random seed of the order in which images are assigned.
        groups: Group of each image; images of one group share a fold. None: every image is its own group.

    Returns:
        The fold of each image, from 0.

    Raises:
        ValueError: There are fewer images, or groups, than folds.
    """
    names = range(len(labels)) if groups is None else groups
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    unit = np.array([numbers[name] for name in names], np.int64)
    if len(numbers) < count:
        what = "images" if groups is None else "groups (--group)"
        raise ValueError(
            f"{len(numbers)} {what} are too few for {count}-fold cross-validation: label more images, or name a "
            "method and its weight decay, as in --method bce --weight-decay 0.05"
        )
    table = labels.cpu().numpy()
    kinds = np.concatenate([table == PRESENT, table == ABSENT], 1)
    amounts = np.zeros((len(numbers), kinds.shape[1]), np.int64)
    np.add.at(amounts, unit, kinds.astype(np.int64))
    return torch.from_numpy(_deal(amounts, count, seed)[unit])


def _deal(amounts: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Assign a fold to each unit.

    Args:
        amounts: Number of labels of each kind, `[unit, kind]`.
        count: Number of folds.
        seed: Random seed of the order.
    """
    random = np.random.default_rng(seed)
    fold = np.full(len(amounts), -1, np.int64)
    order = random.permutation(len(amounts))
    held = np.zeros((count, amounts.shape[1]), np.int64)
    size = np.zeros(count, np.int64)
    total = amounts.sum(0)
    for kind in np.argsort(total, kind="stable"):
        for row in order[(fold[order] < 0) & (amounts[order, kind] > 0)].tolist():
            _place(row, int(np.lexsort((size, held[:, kind]))[0]), fold, held, size, amounts)
    for row in order[fold[order] < 0].tolist():
        _place(row, int(size.argmin()), fold, held, size, amounts)
    return fold


def _place(
    row: int, chosen: int, fold: np.ndarray, held: np.ndarray, size: np.ndarray, amounts: np.ndarray
) -> None:
    fold[row] = chosen
    held[chosen] += amounts[row]
    size[chosen] += 1


def fold_weights(
    targets: Targets, fold: Int64[Tensor, " image"], count: int
) -> tuple[Targets, Float[Tensor, " column"]]:
    """Build the targets of `count` models, each without the images of one fold, side by side: `[image, fold * class]`.

    Returns:
        The targets, and for each column the number of labels of the whole table that have a target.
    """
    outside = fold[:, None] != torch.arange(count)
    value = targets.value.repeat(1, count)
    weight = (targets.weight[:, None] * outside[:, :, None]).flatten(1)
    return Targets(value, weight), target_count(targets).expand(value.shape[1])


def target_count(targets: Targets) -> Float[Tensor, ""]:
    """Count the labels with a target, the number that a loss is divided by."""
    return (targets.weight > 0).sum().float()


def out_of_fold(
    design: Design, fitted: Float[Tensor, "coordinate column"], fold: Int64[Tensor, " image"], count: int
) -> Float[Tensor, "image class"]:
    """Compute the logits of each image by the model fitted without its fold, with aligned means (`aligned_folds`)."""
    by_fold = fitted.unflatten(1, (count, -1))
    logits = torch.empty(len(design), by_fold.shape[2])
    for number in range(count):
        inside = fold == number
        logits[inside] = design.rotated[inside] @ by_fold[:, number]
    level = torch.einsum("d,dkc->kc", design.rotated.mean(0), by_fold)
    return aligned_folds(logits, level, fold)


def aligned_folds(
    logits: Float[Tensor, "image class"], level: Float[Tensor, "fold class"], fold: Int64[Tensor, " image"]
) -> Float[Tensor, "image class"]:
    """Shift out-of-fold logits so that the models of all folds have the same mean logit of each class.

    A model's mean logit of a class rises with the number of present labels in its training folds, which is then lower
    in the fold that it predicts. Without the shift, the scores of rare classes are underestimated.

    Args:
        logits: Logits of each image by the model that was not fitted on it.
        level: Mean logits of each model over one set of images.
        fold: Fold of each image, from 0.
    """
    return logits + (level.mean(0) - level)[fold]


@dataclass(eq=False)
class Problem:
    """A `FullBatch`: images, labels, and the solver at one weight decay.

    Attributes:
        maps: Input of the head for each image, a map of one position.
        labels: PRESENT, ABSENT or UNKNOWN.
        design: The head's pooled features of these images.
        decay: Weight decay in the unit of `TrainingConfig.weight_decay`: the penalty per label with a target.
        fold: Fold of each image in `cross_fit`, from 0.
        scale: Factor of the number of labels in the penalty: for a part of a table, images of the whole per image of
            the part.
        tolerance: Tolerance of the solver, as in `linear_path.solve`.
    """

    maps: Float[Tensor, "image channel 1 1"]
    labels: Labels
    design: Design
    decay: float
    fold: Int64[Tensor, " image"]
    scale: float = 1.0
    tolerance: float = 1e-6

    def fit(self, head: Head, targets: Targets, strength: float = 1.0) -> None:
        """Fit a linear head to targets."""
        assert isinstance(head, Average)
        penalty = self._penalty(targets, strength)
        fitted = solve(self.design, targets, penalty, tolerance=self.tolerance)
        head.set_linear(self.design.mean, self.design.variance, *self.design.weights(fitted))

    def cross_fit(self, targets: Targets, strength: float = 1.0) -> Float[Tensor, "image class"]:
        """Compute the logits of every image by a linear model that was fitted without the image's fold."""
        count = int(self.fold.max()) + 1
        columns, _ = fold_weights(targets, self.fold, count)
        fitted = solve(self.design, columns, self._penalty(targets, strength), tolerance=self.tolerance)
        return out_of_fold(self.design, fitted, self.fold, count)

    def _penalty(self, targets: Targets, strength: float) -> float:
        return self.decay * strength * self.scale * float(target_count(targets))

    def part(self, rows: Bool[Tensor, " image"], inner: Int64[Tensor, " inside"]) -> "Problem":
        """Build the problem of some of the images, with the same penalty on fewer labels.

        Args:
            rows: Whether each image is in the part.
            inner: Fold of each image of the part.
        """
        return Problem(
            self.maps[rows],
            self.labels[rows],
            self.design.of_rows(rows),
            self.decay,
            inner,
            self.scale * len(rows) / int(rows.sum()),
            self.tolerance,
        )


@torch.no_grad()
def predict(method: Method, maps: Float[Tensor, "image channel 1 1"]) -> Float[Tensor, "image class"]:
    """Compute the logits of a method whose backbone is the identity."""
    method.eval()
    return torch.cat([method(part).float() for part in maps.split(AT_ONCE)])
