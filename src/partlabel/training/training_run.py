"""One training run: a method, the parts of a table, and the folder where the result goes."""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int8
from torch.utils.data import DataLoader

from partlabel.core import distributed
from partlabel.core.types import Batch
from partlabel.data.images.dataset import PLAIN, BatchRows
from partlabel.data.images.loader import as_it_is, loader
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.splits import Parts, truth_of
from partlabel.methods import Method
from partlabel.posthoc import label_completion
from partlabel.posthoc.label_completion import Completion
from partlabel.posthoc.text_evidence import TextEvidence
from partlabel.selection.result import Selection, save_out_of_fold
from partlabel.selection.table import OUT_OF_FOLD, VALIDATION
from partlabel.training import caching
from partlabel.training.config import TrainingConfig
from partlabel.training.datasets import InputView, in_use, method_backbone, training_datasets
from partlabel.training.frozen_backbone import fit_pooling_on
from partlabel.training.inference import logits, scores
from partlabel.training.run_folder import Run
from partlabel.training.texts import LearnedWords

COMPLETED_FROM = 20_000
"""Maximum number of training images that the label completion is fitted on."""
JUDGING = 5
"""Without a validation set, one of this many training images decides whether the label completion helps."""


class TrainingResult(NamedTuple):
    """Result of a training.

    Attributes:
        history: Measurements of each epoch.
        val_logits: Logits of the validation images by the best epoch; None without validation.
        completion: Label completion, which predicts unknown labels from the known ones of an image; None where it does
            not help.
        texts: Evidence of texts beside the photos and of class names; None without any, or if it does not help.
        selection: Result of a search of settings; None without a search.
    """

    history: list[dict[str, Any]]
    val_logits: Float[np.ndarray, "image class"] | None
    completion: Completion | None = None
    texts: TextEvidence | None = None
    selection: Selection | None = None


class TrainingRun:
    """Training of a method by steps; after `train` the method has the weights of the best epoch.

    Args:
        model: Method, trained in place.
        view: Image side and normalisation.
        config: Training configuration.
        parts: Training and validation images.
        run: Run folder.
        truth: Complete labels of the training images, which measure pseudo-labels; None if there are none.
        checkpoint: Checkpoint to resume from; None starts at the first epoch.
        pooled: Whether a pooling of the backbone is already fitted.
    """

    def __init__(
        self,
        model: Method,
        view: InputView,
        config: TrainingConfig,
        parts: Parts,
        run: Run,
        truth: LabelTable | None = None,
        checkpoint: Path | None = None,
        pooled: bool = False,
    ) -> None:
        self.model, self.view, self.config, self.parts = model, view, config, parts
        self.run, self.truth, self.checkpoint, self.pooled = run, truth, checkpoint, pooled
        self.cached = caching.if_used(method_backbone(model), config)
        self.workers = config.workers if self.cached is None else 0
        self.train_images: Any = None
        self.val_batches: DataLoader[Batch] | None = None
        self.history: list[dict[str, Any]] = []

    def train(self) -> None:
        """Train to the last epoch, and load the weights of the best one.

        Raises:
            FloatingPointError: The loss is not finite.
        """
        from partlabel.training.lightning_module import TrainingModule
        from partlabel.training.trainer import fit

        config, parts = self.config, self.parts
        warn_of_late_start(self.model, config.epochs)
        if not self.pooled:  # on the images in use, so that every seed of the split finds the same cache
            fit_pooling_on(self.model.backbone, self.view, in_use(parts), self.cached)
        self.train_images, val = training_datasets(self.model, self.view, config, parts)
        pin = config.accelerator != "cpu" and torch.cuda.is_available()
        if val is not None:
            self.val_batches = loader(val, 2 * config.batch_size, workers=self.workers, pin=pin, share=True)
        truth = None if self.truth is None else truth_of(parts.train, self.truth)
        learner = TrainingModule(self.model, config, parts.table.classes, parts.train.images, truth)
        batches = loader(self.train_images, config.batch_size, True, config.seed, self.workers, pin)
        fit(learner, batches, self.val_batches, self.run, self.checkpoint)
        self.history = learner.history

    def complete(self) -> TrainingResult:
        """Compute the validation logits, and fit the label completion; call it after `train`."""
        if self.val_batches is None or self.parts.val is None:
            return TrainingResult(self.history, None)
        val = logits(self.model, self.val_batches, share=True)
        if not self.config.completion or label_completion.too_many(val.shape[1]):
            return TrainingResult(self.history, val)
        rows = np.random.default_rng(self.config.seed).permutation(len(self.parts.train))
        rows = np.sort(rows[:COMPLETED_FROM])
        train = logits(self.model, self._plain(rows), share=True)
        votes = label_completion.fit_completion(
            train, self.parts.train.labels[rows], val, self.parts.val.labels
        )
        return TrainingResult(self.history, val, votes)

    def _plain(self, rows: np.ndarray) -> DataLoader[Batch]:
        """Build the loader of this process's share of some training images, without augmentation."""
        rank, processes = distributed.rank_and_world_size()
        share = np.array_split(rows, processes)[rank]
        cuts = -(-len(share) // (2 * self.config.batch_size))
        chunks = [BatchRows(PLAIN, part.tolist()) for part in np.array_split(share, cuts)]
        return DataLoader(
            self.train_images,
            batch_size=None,
            sampler=chunks,
            num_workers=self.workers,
            collate_fn=as_it_is,
        )


def complete_search(
    model: Method,
    view: InputView,
    config: TrainingConfig,
    parts: Parts,
    run: Run,
    selection: Selection,
    learned: LearnedWords | None = None,
) -> TrainingResult:
    """Write the result of a search, and fit the label completion on out-of-fold predictions.

    Args:
        model: The winner, fitted.
        view: Image side and normalisation.
        config: Training configuration.
        parts: Training and validation images.
        run: Run folder.
        selection: Result of the search.
        learned: Evidence of texts and class names; None without any.
    """
    selection.save(run.selection, OUT_OF_FOLD if parts.val is None else VALIDATION)
    texts, informed = learned or (None, selection.logits)
    save_out_of_fold(run.out_of_fold, selection.logits, None if texts is None else informed)
    val = None
    if parts.val is not None:
        where = caching.where_of(config)
        val = scores(model, view, parts.val, config.batch_size, config.workers, False, where)
    return TrainingResult([], val, completed(informed, parts.train.labels, config), texts, selection)


def completed(
    logits: Float[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"], config: TrainingConfig
) -> Completion | None:
    """Fit the label completion on out-of-fold logits, a fifth of which evaluates it; None where it does not help."""
    if not config.completion or label_completion.too_many(logits.shape[1]) or len(logits) < 2:
        return None
    order = np.random.default_rng(config.seed).permutation(len(logits))[:COMPLETED_FROM]
    judge, learn = np.split(order, [max(len(order) // JUDGING, 1)])
    return label_completion.fit_completion(logits[learn], labels[learn], logits[judge], labels[judge])


def warn_of_late_start(model: Method, epochs: int) -> None:
    """Warn if a method would begin to use its own terms only after the last epoch."""
    if model.start_epoch >= epochs:
        warnings.warn(
            f"{type(model).__name__} uses its own loss terms from epoch {model.start_epoch} (counted from 0) on, and "
            f"epochs is {epochs}: give more epochs (--epochs), or an earlier start_epoch (--method.start_epoch)",
            stacklevel=4,
        )
