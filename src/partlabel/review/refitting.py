"""The model of a run fitted again on the features that a review keeps, with the labels that are known by now.

The fit is that of `partlabel train` with the method of the run: a linear head by the full-batch solver, its weight
decay by cross-validation (`selection/search.py`; again when twice as many labels are known), the evidence of texts and
of known labels by its out-of-fold predictions. The backbone does not change, and neither does the run's folder.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int8, Int64
from torch import Tensor

from partlabel import methods
from partlabel.core.files import read_json
from partlabel.core.types import WordFeatures
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.part_names import TRAIN, in_part, part_name
from partlabel.data.text_features import text_features
from partlabel.nn import heads
from partlabel.nn.heads.average import Average
from partlabel.nn.linear_path import Design
from partlabel.posthoc.label_completion import Completion
from partlabel.posthoc.text_evidence import TextEvidence
from partlabel.review.predictions_cache import Looked
from partlabel.selection.candidates import EVIDENCE, TEXT_PRIOR, Rule, TrainingSet
from partlabel.selection.cross_validation import folds, predict
from partlabel.selection.search import fold_count, search
from partlabel.training.class_description import describe_classes
from partlabel.training.config import TrainingConfig
from partlabel.training.context import asked_context
from partlabel.training.run_folder import Run
from partlabel.training.texts import learned_words
from partlabel.training.towers._base import Tower
from partlabel.training.training_run import completed

if TYPE_CHECKING:
    from partlabel.tagger import Tagger

HEAD = "average"
"""Linear head on features that are pooled already."""
USED = ("seed", "completion", "embedder")
"""Options of the training that a fit uses."""


class Refit(NamedTuple):
    """A model fitted again.

    Attributes:
        logits: Logits of all images, by the image alone; NaN where an image cannot be read.
        unseen: Log-odds of the training images, with the evidence of texts, by models that were fitted without them.
        texts: Evidence of texts and class names; None where it does not help.
        completion: Evidence of known labels; None where it does not help.
    """

    logits: Float[np.ndarray, "image class"]
    unseen: Float[np.ndarray, "row class"]
    texts: TextEvidence | None
    completion: Completion | None


@dataclass(frozen=True, eq=False)
class Refitting:
    """What a fit needs besides labels; it stays the same during a review.

    Attributes:
        table: Label table of the review.
        maps: Pooled features of all images; zeros where an image cannot be read.
        rows: Rows of the images that are learned from.
        fold: Fold of each of these in cross-validation.
        method: Name of the method.
        method_args: Its options.
        words: Texts of the images that are learned from, and their logits by class names.
        informed: The same for the evidence of texts and class names; empty if the run has none.
        context: Folder, minute and place of the images that are learned from; None unless the method asks for them.
        config: Training configuration: random seed, embedder of texts, and whether label completion is fitted.
        tower: Tower that the logits by class names come from.
        designs: Features rotated for the solver, computed at the first fit.
        decays: Weight decays that were found, by the number of known labels.
    """

    table: LabelTable
    maps: Float[Tensor, "image feature"]
    rows: Int64[np.ndarray, " row"]
    fold: Int64[Tensor, " row"]
    method: str
    method_args: Mapping[str, Any] = field(default_factory=dict)
    words: WordFeatures = WordFeatures()  # noqa: RUF009 - immutable
    informed: WordFeatures = WordFeatures()  # noqa: RUF009 - immutable
    context: Int64[Tensor, "row kind"] | None = None
    config: TrainingConfig = TrainingConfig()  # noqa: RUF009 - immutable
    tower: Tower | None = None
    designs: dict[str, Design] = field(default_factory=dict)
    decays: dict[int, float] = field(default_factory=dict)

    def fit(self, labels: Int8[np.ndarray, "image class"]) -> Refit:
        """Fit the model to the known labels of all images; those that are not learned from do not count.

        Args:
            labels: PRESENT, ABSENT or UNKNOWN; at least one label is known.
        """
        table = self.table.with_labels(labels)[self.rows]
        known = torch.from_numpy(np.array(table.labels))
        maps = self.maps[self.rows]
        data = TrainingSet(
            maps, maps.shape[1], known, describe_classes(table), self.fold, *self.words,
            designs=self.designs, context=self.context,
        )  # fmt: skip
        decay = next((decay for count, decay in self.decays.items() if table.known < 2 * count), None)
        found = search(data, (Rule(self.method, self.method_args),), (HEAD,), decay=decay)
        self.decays.setdefault(table.known, found.winner.weight_decay)
        logits = predict(found.model, self.maps[:, :, None, None]).numpy()
        logits[~self.maps.any(dim=1).numpy()] = np.nan
        learned = learned_words(found.logits, table, self.informed, self.config, tower=self.tower)
        texts, unseen = learned or (None, found.logits)
        return Refit(logits, unseen, texts, completed(unseen, table.labels, self.config))


def refitting_of(
    run: Run, tagger: "Tagger", table: LabelTable, looked: Looked, beside: WordFeatures | None
) -> Refitting:
    """Prepare fits for a review; the run has passed `check_refittable`.

    Args:
        run: Run folder.
        tagger: Tagger of the run.
        table: Label table of the review.
        looked: Features of its images.
        beside: Texts of its photos and logits by class names, as the tagger uses them; None if it uses neither.
    """
    readable = np.isfinite(looked.logits).all(axis=1)
    rows = np.flatnonzero(readable & _trained_on(table))
    chosen, settings = torch.from_numpy(rows), tagger.settings
    trained = read_json(run.config)["training"]
    config = TrainingConfig(**{name: trained[name] for name in USED if name in trained})
    if tagger.texts is not None:
        config = config.with_options(embedder=tagger.texts.embedder)
    words = informed = WordFeatures() if beside is None else beside.rows(chosen)
    if beside is None and table.texts is not None and settings["method"] == EVIDENCE:
        words = WordFeatures(text_features(table.texts, table.classes, config.embedder).rows(chosen))
    known = torch.from_numpy(np.array(table.labels[rows]))
    return Refitting(
        table, _pooled(tagger, looked), rows,
        folds(known, min(fold_count(len(rows)), max(len(rows), 2)), config.seed),
        settings["method"], settings["method_args"], words, informed,
        asked_context(table[rows], settings), config, tagger.tower,
    )  # fmt: skip


def _pooled(tagger: "Tagger", looked: Looked) -> Float[Tensor, "image feature"]:
    """Return the pooled features that the head of the run standardises; zeros where an image cannot be read."""
    head = tagger.fitted_model().head
    assert isinstance(head, Average)
    norm = head.standardise
    assert norm.running_mean is not None and norm.running_var is not None
    standard = torch.from_numpy(looked.maps()).to(norm.running_mean)
    pooled = standard * torch.sqrt(norm.running_var + norm.eps) + norm.running_mean
    return torch.where(standard.any(dim=1, keepdim=True), pooled, 0.0).cpu()


def _trained_on(table: LabelTable) -> Bool[np.ndarray, " image"]:
    """Select the images that are learned from: those of the part train, or all without a split."""
    return np.ones(len(table), bool) if table.split is None else in_part(table.split, TRAIN)


def check_refittable(run: Run, tagger: "Tagger", part: str | None) -> None:
    """Check that a review can fit the model of a run again on the features that it keeps.

    Raises:
        ValueError: It cannot; the message says what to do.
    """
    if part is not None and part_name(part) != TRAIN:
        raise ValueError(
            f"--retrain learns from answers about the part train, and --part is {part}: leave out --retrain, or give "
            "--part train"
        )
    described = read_json(run.config)
    method, head = tagger.settings["method"], tagger.settings["head"]
    if not issubclass(heads.get(head), Average):
        reason = f"fits linear heads, and the head of {run.folder} is {head}"
    elif not methods.get(method).has_full_batch_fit():
        reason = f"fits methods that the full-batch solver fits, and {run.folder} was trained by {method}"
    elif "training" not in described:
        reason = f"needs the training configuration of the run, and {run.config} has none"
    elif method == TEXT_PRIOR and tagger.tower is None:
        reason = f"needs the tower that {run.folder} learned from, and the run has none"
    elif described["training"].get("teacher_backbone"):
        reason = f"has no features of the second backbone (--teacher-backbone) that {run.folder} learned from"
    else:
        return
    raise ValueError(
        f"--retrain {reason}: leave out --retrain, or train a run for it: {_typed(run, described)}"
    )


def _typed(run: Run, described: Mapping[str, Any]) -> str:
    """Return the command that trains a run that can be fitted again, on the same table."""
    images = described.get("data", {}).get("images", "PHOTOS")
    parts = ["partlabel", "train", run.labels, "--images", images, "--head", "covariance"]
    return shlex.join(map(str, [*parts, "--out", f"{run.folder}-linear"]))
