"""After training: each class's linear unit fitted again to its known labels, and kept where validation says so.

Chong et al., "Category-wise Fine-Tuning: Resisting Incorrect Pseudo-Labels in Multi-Label Image Classification with
Partial Labels", arXiv:2401.16991. What was trained on pseudo-labels goes back to what is known, class by class, on
features that no longer change. The authors choose each class's best state on the test set; here it is validation.
`docs/methods/cft.md` has the rest.
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
"""APs that differ by less are the same."""


class SeenBatch(NamedTuple):
    """Images as the last layer sees them.

    Attributes:
        features: One per image, or one per image and class.
        labels: What is known.
    """

    features: Float[Tensor, "image *class feature"]
    labels: Labels


@dataclass(frozen=True)
class FineTuned:
    """What became of each class.

    Attributes:
        before: AP on validation; NaN without a known present label.
        after: The same with the weights that were kept.
        changed: Whether they are others than before.
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

    What was tuned for it before (`tuning.py`) no longer holds, and is dropped.

    Args:
        tagger: Fitted, or loaded.
        train: What it was trained on: the known labels are fitted.
        val: Chooses for each class between what was and what was found on the way.
        batch_size: Images at a time.
        workers: Processes that read images.
        epochs: As `refit`.
        lr: As `refit`.
        patience: As `refit`.
        every: As `refit`.
        fewest: As `refit`.

    Raises:
        ValueError: The tagger is not fitted, its classes are not the tables', or its logits do not come out of a
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
        model: Trained.
        learn: The images that it was trained on, as they are: the known labels are fitted.
        judge: Images that choose.
        how: As `refit`.
        named: As `refit`.

    Raises:
        ValueError: Its logits do not come out of a linear layer.
    """
    layer = model.head.last_linear
    if layer is None:
        raise ValueError(
            f"the logits of the head {type(model.head).__name__} do not come out of a linear layer; those of "
            "'average', 'max', 'covariance' and 'ssgrl' do"
        )
    return refit(layer, _seen(model, layer, learn), _seen(model, layer, judge), *how, **named)


def _seen(model: "Method", layer: Linear, batches: "Loader") -> SeenBatch:
    """What the last layer is given of images."""
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
                        f"{type(model).__name__} does not predict by its head alone, so what is best for the head need "
                        "not be for it"
                    )
                labels.append(batch.labels)
    finally:
        hook.remove()
    return SeenBatch(torch.cat(kept), torch.cat(labels))


def _last_of(
    kept: list[Tensor], model: "Method", images: Float[Tensor, "batch *shape"]
) -> Float[Tensor, "batch class"]:
    """What the method says of images, without a second trace of what its last layer saw."""
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
    """Fit a linear layer to known labels by an asymmetric loss, and keep of each class what is best on validation.

    Classes do not touch each other: each has its own weights and its own best state. A class without a known present
    and a known absent label to learn from, or with too few to judge by, stays as it is.

    Args:
        layer: With a row of weights for each class; changed in place.
        learn: What is fitted.
        judge: What chooses.
        epochs: Steps over all images at once, at most.
        lr: Of Adam.
        patience: Steps without a better state of any class after which it ends.
        every: Steps between looks at validation.
        fewest: Known present labels of a class that it takes to judge.
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
    """The AP of each class."""
    with torch.no_grad():
        logits, labels = layer(judge.features).numpy(), judge.labels.numpy()
    return np.array([average_precision(logits[:, c], labels[:, c]) for c in range(labels.shape[1])])
