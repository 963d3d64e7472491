"""The LightningModule of all methods: it sums and logs their named loss terms, and knows no method by name.

A step depends only on the run's seed and the number of the step: Lightning restores no random state, therefore the
random generator is seeded before every batch (measured: seeding per epoch is not enough).
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int8, Int64
from lightning.pytorch import LightningModule
from torch import Tensor

from partlabel.core import distributed
from partlabel.core.labels import UNKNOWN
from partlabel.core.messages import some
from partlabel.core.targets import Labels
from partlabel.core.types import Batch, Progress
from partlabel.data.images.dataset import draw_seed
from partlabel.evaluation import metrics
from partlabel.evaluation.pseudo_label_quality import PseudoLabelQuality
from partlabel.methods import Method
from partlabel.selection.criteria import calibrated_cross_entropy
from partlabel.training.config import TrainingConfig
from partlabel.training.host_values import HostValues
from partlabel.training.optimizer import optimizer, schedule
from partlabel.transfer.by_row import ByRow

MAP, COST = "val/mAP", "val/cross-entropy"


class Judged(NamedTuple):
    """Logits and labels of a batch of validation images."""

    logits: Float[Tensor, "image class"]
    labels: Labels


class Told(NamedTuple):
    """What the losses of a step are about.

    Attributes:
        terms: Names of the loss terms.
        index: Rows of the images in the training table.
        progress: Position in the run.
    """

    terms: tuple[str, ...]
    index: Int64[Tensor, " batch"]  # type: ignore[assignment]  # a field, in the place of tuple.index
    progress: Progress


class TrainingModule(LightningModule):
    """Train a method.

    Args:
        method: Method to train; changed in place.
        config: Training configuration.
        classes: Class names.
        images: Names of the training images, in the order of `Batch.index`.
        truth: Ground truth of the training images, which measures pseudo-labels, UNKNOWN where it is not known; None if
            there is none.

    Attributes:
        history: Measurements of each epoch: its number, the mean `terms`, the `pseudo_labels` by source, `val_map`,
            `lr`; in `val` all metrics on the validation set.
    """

    def __init__(
        self,
        method: Method,
        config: TrainingConfig,
        classes: Sequence[str],
        images: Sequence[str],
        truth: Int8[np.ndarray, "image class"] | None = None,
    ) -> None:
        super().__init__()
        self.method = method
        self.config = config
        self.classes = tuple(classes)
        self.images = tuple(images)
        self.truth = None if truth is None else torch.from_numpy(np.array(truth))
        self.quality = PseudoLabelQuality()
        self.history: list[dict[str, Any]] = []
        self._judged: list[Judged] = []
        self._losses: HostValues[Told] = HostValues()
        self._sums: dict[str, Any] = defaultdict(float)

    def forward(self, inputs: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch class"]:
        """Compute the logits of images, or of their cached features (`Batch.inputs`)."""
        return self.method(inputs)

    def progress(self, batch: int) -> Progress:
        """Return the progress of training before a batch of this epoch."""
        batches = int(self.trainer.num_training_batches)
        step = self.current_epoch * batches + batch
        return Progress(self.current_epoch, step, batch, batches, self.config.epochs, self.config.seed)

    def on_fit_start(self) -> None:
        """Let the method's state have a place for every training image."""
        for module in self.method.modules():
            if isinstance(module, ByRow):
                module.reserve(len(self.images))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the random generator of the step (dropout, for instance) from values that a checkpoint holds."""
        torch.manual_seed(draw_seed(self.config.seed, self.progress(batch_idx).step, self.global_rank))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the sum of the method's loss terms; on a GPU, nothing here waits for it."""
        progress = self.progress(batch_idx)
        terms, pseudo_labels = self.method.step(batch, progress)
        values = torch.stack([term.float() for term in terms.values()])
        means = distributed.all_reduce_mean(values.detach())
        for name, mean in zip(terms, means, strict=True):
            self._sums[name] += mean
        self._sums["loss"] += means.sum()
        self.quality.update(pseudo_labels, batch.labels, self._truth_of(batch))
        for losses, told in self._losses.add(means, Told(tuple(terms), batch.index, progress)):
            self._check_finite(losses, told)
            self.log("loss", losses.sum(), prog_bar=True, logger=False)
        return values.sum()

    def _truth_of(self, batch: Batch) -> Labels | None:
        """Return the ground truth of a batch, from a copy on its device."""
        if self.truth is None:
            return None
        self.truth = self.truth.to(batch.index.device)
        return self.truth[batch.index]

    def _check_finite(self, losses: Float[Tensor, " term"], told: Told) -> None:
        wrong = {
            name: value
            for name, value in zip(told.terms, losses.tolist(), strict=True)
            if not math.isfinite(value)
        }
        if wrong:
            progress = told.progress
            (index,) = distributed.all_gather_rows(told.index)
            images = some((self.images[row] for row in index.tolist()), most=8)
            raise FloatingPointError(
                f"the loss is not finite at step {progress.step} (epoch {progress.epoch + 1}, batch {progress.batch}): "
                f"{', '.join(f'{name} = {value}' for name, value in wrong.items())}; images: {images}; "
                "try a lower --lr, --clip 1 or --precision 32-true"
            )

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Before validation, check the last losses, and average statistics of batch normalisation over processes."""
        if batch_idx + 1 < self.trainer.num_training_batches:
            return
        for losses, told in self._losses.rest():
            self._check_finite(losses, told)
        if not self.config.sync_batchnorm:
            distributed.average_moments(self.method)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Store the logits."""
        logits = self.method.validate(batch)
        self._judged.append(Judged(logits.float().cpu(), batch.labels.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Compute the metrics over the known labels."""
        recomputed = self.method.end_validation()
        logits, labels = distributed.all_gather_rows(
            torch.cat([b.logits for b in self._judged]), torch.cat([b.labels for b in self._judged])
        )
        self._judged.clear()
        if recomputed is not None:
            logits = recomputed.float().cpu()
        if len(logits) != len(labels):
            raise RuntimeError(
                f"{type(self.method).__name__}.end_validation returned logits of {len(logits)} images, but all "
                f"processes together validated {len(labels)}: it has to gather the logits with "
                "partlabel.core.distributed.all_gather_rows"
            )
        evaluation = metrics.evaluate(logits.numpy(), labels.numpy(), self.classes)
        cost = calibrated_cross_entropy(logits, labels) if (labels != UNKNOWN).any() else math.nan
        self.log(COST, cost, logger=False)
        for name in ("mAP", "mAP interpolated", "OF1", "CF1"):
            value = evaluation.numbers[name]
            self.log(f"val/{name}", value, prog_bar=name == "mAP" and not math.isnan(value), logger=False)

    def on_train_epoch_end(self) -> None:
        """Record the epoch, after a check that the buffers of all processes are equal."""
        if astray := distributed.unsynchronized(dict(self.method.named_buffers())):
            raise RuntimeError(
                f"buffers differ between processes: {some(astray)}; {type(self.method).__name__} has to gather what it "
                "stores with partlabel.core.distributed.all_gather_rows, or be trained by one process"
            )
        self.quality.add_up(distributed.all_reduce_sum)
        batches = int(self.trainer.num_training_batches)
        measured = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        epoch: dict[str, Any] = {
            "epoch": self.current_epoch + 1,
            "terms": {name: float(total) / batches for name, total in self._sums.items()},
            "pseudo_labels": {
                source: {name: _known(value) for name, value in quality.numbers.items()}
                for source, quality in self.quality.compute().items()
            },
            "lr": self.trainer.optimizers[0].param_groups[0]["lr"],
        }
        if MAP in measured:
            epoch["val_map"] = _known(measured[MAP])
            epoch["val"] = {
                n.removeprefix("val/"): _known(v) for n, v in measured.items() if n.startswith("val/")
            }
        self.history.append(epoch)
        self._sums.clear()
        self.quality.reset()
        for logger in self.loggers:
            logger.log_metrics(flat(epoch), self.current_epoch + 1)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the history with the weights."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the history."""
        self.history = list(checkpoint["history"])

    def setup(self, stage: str) -> None:
        """Divide the parameters among the optimiser's groups while they have their shapes; shards have none."""
        self._optimizer = optimizer(self.method, self.config)

    def configure_optimizers(self) -> Any:
        """Return the optimiser, and the learning rate's schedule by step."""
        made = self._optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        return {
            "optimizer": made,
            "lr_scheduler": {"scheduler": schedule(made, self.config, steps), "interval": "step"},
        }


def flat(epoch: dict[str, Any]) -> dict[str, float | int]:
    """Flatten the numbers of an epoch of the history to names such as `terms/bce`; missing ones are left out."""
    numbers: dict[str, float | int] = {}
    for name, value in epoch.items():
        if isinstance(value, dict):
            numbers |= {f"{name}/{inner}": number for inner, number in flat(value).items()}
        elif value is not None:
            numbers[name] = value
    return numbers


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
