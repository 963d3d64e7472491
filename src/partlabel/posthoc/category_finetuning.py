"""Fine-tuning after training: each class's linear unit is fitted again to its known labels, if validation improves.

Chong et al., "Category-wise Fine-Tuning: Resisting Incorrect Pseudo-Labels in Multi-Label Image Classification with
Partial Labels", arXiv:2401.16991. A model that was trained on pseudo-labels is fitted again to the known labels, class
by class, on fixed features. The authors choose each class's best state on the test set, this code on the validation
set. More in `docs/methods/cft.md`.
"""

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from partlabel.core.labels import ABSENT, PRESENT
from partlabel.core.targets import Labels, Targets
from partlabel.evaluation.metrics import average_precision
from partlabel.losses.asymmetric import Asymmetric
from partlabel.nn.per_class_linear import PerClassLinear

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from partlabel.core.types import Batch
    from partlabel.data.tables.label_table import LabelTable
    from partlabel.methods import Method
    from partlabel.posthoc.predictor import Predictor

    Loader = DataLoader[Batch]

Linear = nn.Linear | PerClassLinear
ROUNDING = 1e-9
"""Difference of APs up to which they count as equal."""


class SeenBatch(NamedTuple):
    """Inputs of the last layer, with labels.

    Attributes:
        features: Features per image, or per image and class.
        labels: PRESENT, ABSENT or UNKNOWN.
    """

    features: Float[Tensor, "image *class feature"]
    labels: Labels


@dataclass(frozen=True)
class FineTuned:
    """Result of fine-tuning for each class.

    Attributes:
        before: AP on the validation set before; NaN without a known present label.
        after: AP on the validation set with the weights that were kept.
        changed: Whether the weights changed.
    """

    before: Float[np.ndarray, " class"]
    after: Float[np.ndarray, " class"]
    changed: Bool[np.ndarray, " class"]


def fine_tune(
    tagger: "Predictor",
    train: "LabelTable",
    val: "LabelTable",
    *,
    batch_size: int = 64,
    workers: int = 0,
    epochs: int = 5000,
    lr: float = 1e-4,
    patience: int = 300,
    every: int = 10,
    fewest: int = 5,
) -> FineTuned:
    """Fit the last layer of a tagger again, class by class; the tagger is changed in place.

    Thresholds and calibration of the tagger (`tuning.py`) are deleted, because they are no longer valid.

    Args:
        tagger: Fitted or loaded tagger.
        train: Table that the tagger was trained on, whose known labels are fitted.
        val: Validation set, which chooses each class's best weights.
        batch_size: Images per batch.
        workers: DataLoader worker processes; 0 loads in the main process.
        epochs: Maximum number of steps, as in `refit`.
        lr: Learning rate, as in `refit`.
        patience: Steps without improvement, as in `refit`.
        every: Steps between validations, as in `refit`.
        fewest: Minimum number of known present labels of a class, as in `refit`.

    Raises:
        ValueError: The tagger is not fitted, its classes are not the tables', or its logits are not the output of a
            linear layer.
    """
    from partlabel.data.images.dataset import ImageDataset, eval_transform
    from partlabel.data.images.loader import loader
    from partlabel.data.tables.splits import aligned

    model = tagger.model
    if model is None:
        raise ValueError("this tagger is not fitted: call fit(), or load a fitted one by Tagger.load(folder)")
    plain, size = eval_transform(*tagger.view), tagger.view[0]
    learn, judge = (
        loader(ImageDataset(aligned(table, tagger.classes), plain, size=size), batch_size, workers=workers)
        for table in (train, val)
    )
    found = fine_tune_method(model, learn, judge, epochs, lr, patience, every, fewest)
    tagger.drop_tuning()
    return found


def fine_tune_method(model: "Method", learn: "Loader", judge: "Loader", *how: Any, **named: Any) -> FineTuned:
    """Fit the last layer of a method again, class by class; the method is changed in place.

    Args:
        model: Trained method.
        learn: Training images without augmentation, whose known labels are fitted.
        judge: Images of the validation set, which chooses each class's best weights.
        how: Positional options of `refit`.
        named: Options of `refit`, by name.

    Raises:
        ValueError: Its logits are not the output of a linear layer.
    """
    layer = model.head.last_linear
    if layer is None:
        raise ValueError(
            f"the logits of the head {type(model.head).__name__} are not the output of a linear layer; those of "
            "'average', 'max', 'covariance' and 'ssgrl' are"
        )
    return refit(layer, _seen(model, layer, learn), _seen(model, layer, judge), *how, **named)


def _seen(model: "Method", layer: Linear, batches: "Loader") -> SeenBatch:
    """Compute the inputs of the last layer for images."""
    kept: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, given: kept.append(given[0].float().cpu()))
    labels: list[Labels] = []
    try:
        with torch.inference_mode():
            for batch in batches:
                images = batch.inputs.to(next(model.parameters()).device)
                out = model.outputs(images)
                if not labels and not torch.equal(out.logits, _last_of(kept, model, images)):
                    raise ValueError(
                        f"{type(model).__name__} does not predict by its head alone, so the best weights of the head "
                        "need not be the best for the method"
                    )
                labels.append(batch.labels)
    finally:
        hook.remove()
    return SeenBatch(torch.cat(kept), torch.cat(labels))


def _last_of(
    kept: list[Tensor], model: "Method", images: Float[Tensor, "batch *shape"]
) -> Float[Tensor, "batch class"]:
    """Compute the logits of the method, without recording the inputs of its last layer again."""
    length = len(kept)
    logits = model(images)
    del kept[length:]
    return logits


def refit(
    layer: Linear,
    learn: SeenBatch,
    judge: SeenBatch,
    epochs: int = 5000,
    lr: float = 1e-4,
    patience: int = 300,
    every: int = 10,
    fewest: int = 5,
) -> FineTuned:
    """Fit a linear layer to known labels by an asymmetric loss, and keep each class's best weights on validation.

    Classes are independent: each has its own weights and its own best state. A class without a known present and a
    known absent training label, or with too few validation labels, does not change.

    Args:
        layer: Layer with a row of weights for each class; changed in place.
        learn: Features and labels to fit.
        judge: Features and labels of the validation set.
        epochs: Maximum number of steps; each step uses all images.
        lr: Learning rate of Adam.
        patience: Number of steps without improvement of any class after which fitting stops.
        every: Number of steps between validations.
        fewest: Minimum number of known present validation labels of a class.
    """
    fitted = copy.deepcopy(layer).cpu().requires_grad_()
    loss = Asymmetric(gamma_present=0.0, gamma_absent=4.0, margin=0.05)
    optimiser = torch.optim.Adam(fitted.parameters(), lr)
    known = Targets.known(learn.labels)
    may = _counts(learn.labels, 1) & _counts(judge.labels, fewest)
    before = _scores(fitted, judge)
    best, weight, bias = before.copy(), fitted.weight.detach().clone(), fitted.bias.detach().clone()
    last = 0
    for step in range(1, epochs + 1):
        optimiser.zero_grad()
        loss.total(fitted(learn.features), known).backward()
        optimiser.step()
        if step % every == 0:
            now = _scores(fitted, judge)
            better = may & (now > best + ROUNDING)
            best[better] = now[better]
            rows = torch.from_numpy(better)
            weight[rows], bias[rows] = fitted.weight.detach()[rows], fitted.bias.detach()[rows]
            last = step if better.any() else last
            if step - last >= patience:
                break
    changed = may & (best > before)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return FineTuned(before, best, changed)


def _counts(labels: Labels, fewest: int) -> Bool[np.ndarray, " class"]:
    """Select the classes with at least `fewest` known present labels and a known absent one."""
    return (((labels == PRESENT).sum(0) >= fewest) & (labels == ABSENT).any(0)).numpy()


def _scores(layer: Linear, judge: SeenBatch) -> Float[np.ndarray, " class"]:
    """Compute the AP of each class."""
    with torch.no_grad():
        logits, labels = layer(judge.features).numpy(), judge.labels.numpy()
    return np.array([average_precision(logits[:, c], labels[:, c]) for c in range(labels.shape[1])])
