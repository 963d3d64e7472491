"""A regularised logistic regression on features of texts, with a cross-validated penalty: part of several sources."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from partlabel.core.targets import Targets
from partlabel.nn.cross_fitting import fold_weights, out_of_fold, target_count
from partlabel.nn.linear_path import EPSILON, Design, solve
from partlabel.transfer.combination import combine, misfit

PENALTIES = tuple(10 ** (-step / 2) for step in range(1, 7))
"""Candidate penalties per label with a target, from strong to weak."""


class TextClassifier(nn.Module):
    """One linear model per class.

    Args:
        dim: Length of the features.
        classes: Number of classes.
    """

    weight: Float[Tensor, "class dim"]
    bias: Float[Tensor, " class"]

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(classes, dim))
        self.register_buffer("bias", torch.zeros(classes))

    def fit(
        self,
        features: Float[Tensor, "image dim"],
        targets: Targets,
        fold: Int64[Tensor, " image"],
        penalties: Sequence[float] = PENALTIES,
    ) -> Float[Tensor, "image class"]:
        """Fit at the penalty with the lowest out-of-fold cross-entropy; return the out-of-fold logits.

        Args:
            features: Features of the images.
            targets: What is predicted from them.
            fold: Fold of each image, from 0.
            penalties: Candidate penalties per label with a target, from strong to weak.
        """
        design = Design.of(features)
        count = int(fold.max()) + 1
        columns, counted = fold_weights(targets, fold, count)
        fitted, least, best, chosen = (
            None,
            float("inf"),
            features.new_zeros(targets.value.shape),
            penalties[0],
        )
        for penalty in penalties:
            fitted = solve(design, columns, penalty * counted, fitted)
            logits = out_of_fold(design, fitted, fold, count)
            tried = misfit(combine(logits[None], targets), logits[None], targets)
            if tried >= least:
                break
            least, best, chosen = tried, logits, penalty
        whole = solve(design, targets, chosen * target_count(targets).expand(targets.value.shape[1]))
        weight, bias = design.weights(whole)
        scale = torch.rsqrt(design.variance + EPSILON)
        self.weight.copy_(weight * scale)
        self.bias.copy_(bias - self.weight @ design.mean)
        return best

    def forward(self, features: Float[Tensor, "image dim"]) -> Float[Tensor, "image class"]:
        """Compute the logits."""
        return features @ self.weight.T + self.bias
