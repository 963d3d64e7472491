"""Out-of-fold predictions of linear models: every image by a model that was fitted without the labels of its fold.

The models of all folds are columns of one problem, which `linear_path.solve` fits at once.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from partlabel.core.targets import Targets
from partlabel.nn.linear_path import Design


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
