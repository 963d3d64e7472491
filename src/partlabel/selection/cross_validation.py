"""Cross-validation: division of images into folds, and the full-batch problem that is passed to methods."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from partlabel.core.labels import ABSENT, PRESENT
from partlabel.core.targets import Labels, Targets
from partlabel.core.types import NameScale, TextFeatures
from partlabel.methods import Method
from partlabel.nn.cross_fitting import fold_weights, out_of_fold, target_count
from partlabel.nn.heads import Head
from partlabel.nn.heads.average import Average
from partlabel.nn.linear_path import Design, solve

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
        text: Features of the texts that accompany the images; None without texts.
        zero_shot: Logits of the classes by their names; None without encoders that were aligned.
        named: Solution whose logits are closest to `zero_shot`; None without it.
        second: Feature of each image by a second backbone; None without one.
        memo: Results that do not depend on the weight decay, kept from one weight decay to the next.
        shared: Results that depend on neither labels nor weight decay, kept for all parts of the table.
        table: The problem that this is a part of; None for a whole table.
        in_table: Rows of the images in it; None for a whole table.
        context: Keys of folder, minute and place of each image; None unless they are asked for.
    """

    maps: Float[Tensor, "image channel 1 1"]
    labels: Labels
    design: Design
    decay: float
    fold: Int64[Tensor, " image"]
    scale: float = 1.0
    tolerance: float = 1e-6
    text: TextFeatures | None = None
    zero_shot: Float[Tensor, "image class"] | None = None
    named: Float[Tensor, "coordinate class"] | None = None
    second: Float[Tensor, "image second_feature"] | None = None
    memo: dict[str, Any] = field(default_factory=dict)
    shared: dict[str, Any] = field(default_factory=dict)
    table: "Problem | None" = None
    in_table: Int64[Tensor, " image"] | None = None
    context: Int64[Tensor, "image kind"] | None = None

    @property
    def table_maps(self) -> Float[Tensor, "row channel 1 1"]:
        """Return the input of the head for each image of the whole table."""
        return self.maps if self.table is None else self.table.maps

    @property
    def rows(self) -> Int64[Tensor, " image"]:
        """Return the row of each image in the whole table."""
        return torch.arange(len(self.maps)) if self.in_table is None else self.in_table

    def fit(
        self, head: Head, targets: Targets, strength: float = 1.0, names: NameScale | None = None
    ) -> None:
        """Fit a linear head to targets, with the weights pulled towards 0 or towards those of the class names."""
        assert isinstance(head, Average)
        prior = None
        if names is not None:
            assert self.named is not None
            prior = names.slope * self.named
            prior[-1] += names.offset
        penalty = self._penalty(targets, strength)
        fitted = solve(self.design, targets, penalty, tolerance=self.tolerance, prior=prior)
        head.set_linear(self.design.mean, self.design.variance, *self.design.weights(fitted))

    def cross_fit(self, targets: Targets, strength: float = 1.0) -> Float[Tensor, "image class"]:
        """Compute the logits of every image by a linear model that was fitted without the image's fold."""
        count = int(self.fold.max()) + 1
        columns, _ = fold_weights(targets, self.fold, count)
        fitted = solve(self.design, columns, self._penalty(targets, strength), tolerance=self.tolerance)
        return out_of_fold(self.design, fitted, self.fold, count)

    def _penalty(self, targets: Targets, strength: float) -> float:
        return self.decay * strength * self.scale * float(target_count(targets))

    def part(
        self, rows: Bool[Tensor, " image"], inner: Int64[Tensor, " inside"], memo: dict[str, Any]
    ) -> "Problem":
        """Build the problem of some of the images, with the same penalty on fewer labels.

        Args:
            rows: Whether each image is in the part.
            inner: Fold of each image of the part.
            memo: Results kept for this part.
        """
        return Problem(
            self.maps[rows],
            self.labels[rows],
            self.design.of_rows(rows),
            self.decay,
            inner,
            self.scale * len(rows) / int(rows.sum()),
            self.tolerance,
            None if self.text is None else self.text.rows(rows),
            None if self.zero_shot is None else self.zero_shot[rows],
            self.named,
            None if self.second is None else self.second[rows],
            memo,
            self.shared,
            self,
            rows.nonzero().squeeze(1),
            None if self.context is None else self.context[rows],
        )


@torch.no_grad()
def predict(method: Method, maps: Float[Tensor, "image channel 1 1"]) -> Float[Tensor, "image class"]:
    """Compute the logits of a method whose backbone is the identity."""
    method.eval()
    return torch.cat([method(part).float() for part in maps.split(AT_ONCE)])
