"""Fit regularised logistic regressions of many columns at once.

A *column* is one binary problem: a class, under a rule for its unknown labels, in a fold. All columns share the
features, so that one matrix product serves them all. The objective of a column is

    J(a, b) = sum_i w_i BCE(x_i . a + b, v_i) + penalty / 2 |a|^2

with the features x standardised and the intercept b not penalised (as scikit-learn's `LogisticRegression` with
`C = 1 / penalty`); with a prior a0, it is `penalty / 2 |a - a0|^2`. L-BFGS (Liu and Nocedal, "On the limited memory
BFGS method for large scale optimization", Mathematical Programming 45, 1989) minimises it in the coordinates of the
principal components, where the Hessian is nearly diagonal and its diagonal a good initial estimate; a step costs two
matrix products, because the line search moves along known logits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from partlabel.core.targets import Targets

EPSILON = 1e-5
"""Added to variances, as batch normalisation does."""
REMEMBERED = 6
"""Pairs of steps and gradient changes of L-BFGS."""
CELLS = 1 << 24
"""Maximum number of logits in one block of columns, which bounds the memory."""
NEGLIGIBLE = 1e-7
"""Share of the largest variance below which a principal component is left out: rounding errors of single precision."""


@dataclass(frozen=True, eq=False)
class Design:
    """Features of all images, standardised and rotated to their principal components.

    Attributes:
        mean: Mean of each feature.
        variance: Variance of each feature.
        rotation: Principal components of the standardised features; orthonormal columns.
        rotated: Coordinates of every image, and a last column of ones for the intercept.
        squares: Sum of the squares of each column of `rotated`.
    """

    mean: Float[Tensor, " feature"]
    variance: Float[Tensor, " feature"]
    rotation: Float[Tensor, "feature component"]
    rotated: Float[Tensor, "image coordinate"]
    squares: Float[Tensor, " coordinate"]

    @classmethod
    def of(cls, features: Float[Tensor, "image feature"]) -> "Design":
        """Standardise and rotate features; labels are not used."""
        mean, variance = features.mean(0), features.var(0, unbiased=False)
        standard = (features - mean) * torch.rsqrt(variance + EPSILON)
        rotation = _principal(standard)
        rotated = torch.cat([standard @ rotation, torch.ones(len(features), 1)], 1)
        return cls(mean, variance, rotation, rotated, rotated.square().sum(0))

    def __len__(self) -> int:
        return len(self.rotated)

    def of_rows(self, rows: Bool[Tensor, " image"]) -> "Design":
        """Select the coordinates of some of the images."""
        rotated = self.rotated[rows]
        return Design(self.mean, self.variance, self.rotation, rotated, rotated.square().sum(0))

    def logits(self, fitted: Float[Tensor, "coordinate column"]) -> Float[Tensor, "image column"]:
        """Compute the logits of all images."""
        return self.rotated @ fitted

    def weights(
        self, fitted: Float[Tensor, "coordinate column"]
    ) -> tuple[Float[Tensor, "column feature"], Float[Tensor, " column"]]:
        """Compute the weights on the standardised features, and the intercepts."""
        return (self.rotation @ fitted[:-1]).T, fitted[-1]

    def nearest(self, scores: Float[Tensor, "image column"]) -> Float[Tensor, "coordinate column"]:
        """Fit scores of all images by ridge regression; the penalty has the lowest error on images left out.

        Principal components do not covary, so that every penalty has an exact solution (not after `of_rows`).
        """
        moments, best, least = self.rotated.T @ scores, torch.empty(0), float("inf")
        for penalty in torch.logspace(-6, 0, 7) * len(self):
            ridge = torch.full_like(self.squares, float(penalty))
            ridge[-1] = 0.0
            inverse = (self.squares + ridge).clamp(min=1e-12).reciprocal()
            fitted = inverse[:, None] * moments
            influence = (self.rotated.square() @ inverse).clamp(max=1 - 1e-3)
            error = float(((scores - self.logits(fitted)) / (1 - influence)[:, None]).square().mean())
            if error < least:
                best, least = fitted, error
        return best


def _principal(standard: Float[Tensor, "image feature"]) -> Float[Tensor, "feature component"]:
    """Compute the principal components by the smaller Gram matrix, without those that are rounding errors."""
    images, features = standard.shape
    few = images < features
    wide = standard.double() if few else standard
    spread, vectors = torch.linalg.eigh(wide @ wide.T if few else wide.T @ wide)
    most = max(min(images - 1, features), 1)
    spread, vectors = spread.flip(0)[:most], vectors.flip(1)[:, :most]
    kept = spread > NEGLIGIBLE * spread[0].clamp(min=1e-12)
    if few:
        return (wide.T @ vectors[:, kept] * spread[kept].rsqrt()).float()
    return vectors[:, kept]


def solve(
    design: Design,
    targets: Targets,
    penalty: Float[Tensor, " column"] | float,
    start: Float[Tensor, "coordinate column"] | None = None,
    tolerance: float = 1e-6,
    most: int = 60,
    prior: Float[Tensor, "coordinate column"] | None = None,
) -> Float[Tensor, "coordinate column"]:
    """Fit all columns at one penalty.

    Args:
        design: The features.
        targets: Value and weight of every image in every column, `[image, column]`; a weight of 0 leaves it out.
        penalty: Penalty of each column, or of all columns.
        start: Initial solution, such as that at a stronger penalty; None: weights 0, and the intercept of each
            column's prevalence.
        tolerance: Decrease of the objective that a further step may promise at the end, per unit of weight.
        most: Maximum number of steps.
        prior: Solution that the weights are pulled towards, in place of 0; it is the initial solution, and the result
            for a column whose labels are all of one kind or all unknown. Its intercept has no penalty.

    Returns:
        The solution.
    """
    columns = targets.value.shape[1]
    penalty = torch.as_tensor(penalty, dtype=torch.float32).expand(columns)
    width = max(CELLS // max(len(design), 1), 1)
    blocks = [slice(at, at + width) for at in range(0, columns, width)]
    return torch.cat(
        [
            _solve(
                design,
                Targets(targets.value[:, block], targets.weight[:, block]),
                penalty[block],
                None if start is None else start[:, block],
                tolerance,
                most,
                None if prior is None else prior[:, block],
            )
            for block in blocks
        ],
        1,
    )


@torch.no_grad()
def _solve(
    design: Design,
    targets: Targets,
    penalty: Float[Tensor, " column"],
    start: Float[Tensor, "coordinate column"] | None,
    tolerance: float,
    most: int,
    prior: Float[Tensor, "coordinate column"] | None,
) -> Float[Tensor, "coordinate column"]:
    value, weight = targets
    total = weight.sum(0)
    one_sided = _one_sided(targets)
    weight = weight * ~one_sided
    if prior is None:
        prior = torch.zeros(design.rotated.shape[1], len(penalty))
        prior[-1] = _share(targets).logit()
    fitted = (prior if start is None else start).clone()
    fitted[:, one_sided] = prior[:, one_sided]
    ridge = penalty.expand(len(fitted), -1).clone()
    ridge[-1] = 0.0
    logits = design.logits(fitted)
    sure = logits.sigmoid()
    gradient = design.rotated.T @ (weight * (sure - value)) + ridge * (fitted - prior)
    curvature = (weight * sure * (1 - sure)).mean(0)
    first = (design.squares[:, None] * curvature + ridge).clamp(min=1e-6).reciprocal()
    history: list[tuple[Tensor, Tensor]] = []
    for _ in range(most):
        direction = -_inverse_hessian(gradient, history, first)
        slope = (gradient * direction).sum(0)
        if bool((-slope <= tolerance * total.clamp(min=1e-6)).all()):
            break
        along = design.logits(direction)
        length = _line_search(logits, along, value, weight, fitted - prior, direction, ridge, slope)
        step = length * direction
        fitted += step
        logits += length * along
        before = gradient
        gradient = design.rotated.T @ (weight * (logits.sigmoid() - value)) + ridge * (fitted - prior)
        history = [*history, (step, gradient - before)][-REMEMBERED:]
    return fitted


def _share(targets: Targets) -> Float[Tensor, " column"]:
    """Compute the weighted prevalence of each column, with half a label of either kind added."""
    value, weight = targets
    return ((weight * value).sum(0) + 0.5) / (weight.sum(0) + 1)


def _one_sided(targets: Targets) -> Bool[Tensor, " column"]:
    """Find columns whose labels are all present, all absent or all unknown.

    Their objective has no minimum, because the intercept is unbounded. They get the prior; where there is none, weights
    of 0 and the intercept of `_share`.
    """
    value, weight = targets
    return ((weight * value).sum(0) == 0) | ((weight * (1 - value)).sum(0) == 0)


def _inverse_hessian(
    gradient: Float[Tensor, "coordinate column"],
    history: Sequence[tuple[Tensor, Tensor]],
    first: Float[Tensor, "coordinate column"],
) -> Float[Tensor, "coordinate column"]:
    """Apply the two-loop recursion of L-BFGS to each column, from a diagonal initial estimate."""
    found, factors = gradient, []
    for step, change in reversed(history):
        product = (step * change).sum(0)
        inverse = torch.where(product > 0, 1 / product.clamp(min=1e-30), 0.0)
        factor = inverse * (step * found).sum(0)
        found = found - factor * change
        factors.append((factor, inverse))
    found = first * found
    for (step, change), (factor, inverse) in zip(history, reversed(factors), strict=True):
        found = found + (factor - inverse * (change * found).sum(0)) * step
    return found


def _line_search(
    logits: Float[Tensor, "image column"],
    along: Float[Tensor, "image column"],
    value: Float[Tensor, "image column"],
    weight: Float[Tensor, "image column"],
    departure: Float[Tensor, "coordinate column"],
    direction: Float[Tensor, "coordinate column"],
    ridge: Float[Tensor, "coordinate column"],
    slope: Float[Tensor, " column"],
) -> Float[Tensor, " column"]:
    """Compute the step length of each column: two Newton steps on the objective along the direction, from 1.

    `departure` is the solution minus the prior. A column whose slope is not negative has converged within single
    precision; its step length is 0.
    """
    linear, quadratic = (ridge * departure * direction).sum(0), (ridge * direction.square()).sum(0)
    length = torch.ones_like(slope)
    for _ in range(2):
        sure = (logits + length * along).sigmoid_()
        first = (weight * (sure - value) * along).sum(0) + linear + length * quadratic
        second = (weight * sure * (1 - sure) * along.square()).sum(0) + quadratic
        moved = length - first / second.clamp(min=1e-30)
        length = torch.where(moved > 0, moved, length / 4).clamp(max=4.0).minimum(4 * length)
    return torch.where(slope < 0, length, 0.0)
