"""One cell of the benchmark: labels hidden, a method trained on cached features, scored once on the test part."""

import gc
import math
import resource
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int8

from partlabel import methods
from partlabel.bench.grid import Arm, Grid, GridCell
from partlabel.core.labels import UNKNOWN
from partlabel.data.cache import feature_cache, file_hashes
from partlabel.data.cache.feature_dataset import FeatureDataset
from partlabel.data.cache.interface import Features
from partlabel.data.images.loader import loader
from partlabel.data.tables import statistics
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.part_names import TEST, TRAIN
from partlabel.evaluation import metrics
from partlabel.evaluation.calibration import calibrate
from partlabel.methods import Method
from partlabel.nn import heads
from partlabel.nn.backbone import Backbone
from partlabel.posthoc.category_finetuning import fine_tune_method
from partlabel.training.class_description import describe_classes
from partlabel.training.config import TrainingConfig
from partlabel.training.frozen_backbone import frozen_backbone, plain_view
from partlabel.training.inference import logits
from partlabel.training.lightning_module import TrainingModule
from partlabel.training.run_folder import Run
from partlabel.training.towers import prompting
from partlabel.training.trainer import fit, weights


@dataclass(frozen=True)
class Data:
    """Images of a benchmark, and the location of their features.

    Attributes:
        train: Training part with all labels known; some are hidden per cell.
        test: Test part that methods are scored on.
        cache_dir: Folder of the feature cache.
    """

    train: LabelTable
    test: LabelTable
    cache_dir: str | None = None

    @classmethod
    def of(cls, table: LabelTable, cache_dir: str | None = None) -> "Data":
        """Divide a table with the parts `train` and `test`.

        Raises:
            ValueError: A part is missing.
        """
        for part in (TRAIN, TEST):
            if part not in table.parts:
                raise ValueError(
                    f"the table has no part {part!r}, and a benchmark needs 'train' and 'test': create them with "
                    "partlabel split"
                )
        return cls(table.part(TRAIN), table.part(TEST), cache_dir)

    @property
    def photo_hash(self) -> str:
        """Hash the bytes of the images; each is read once."""
        memory = feature_cache.folder(self.cache_dir) / file_hashes.MEMORY
        each = [image for part in (self.train, self.test) for image in file_hashes.hashes(part, memory)]
        return blake2b("".join(each).encode(), digest_size=16).hexdigest()


class PartFeatures(NamedTuple):
    """Features of both parts, and the backbone behind them."""

    backbone: Backbone
    train: list[Features]
    test: list[Features]


class Hidden(NamedTuple):
    """Training labels of a cell.

    Attributes:
        table: Training images with hidden labels.
        is_val: Images of the validation set.
    """

    table: LabelTable
    is_val: Bool[np.ndarray, " image"]


class Trained(NamedTuple):
    """Result of one training.

    Attributes:
        cost: Validation cost; lower is better.
        method: The method, in eval mode.
        history: Measurements of each epoch.
        seconds: Duration of the training.
    """

    cost: float
    method: Method
    history: list[dict[str, Any]]
    seconds: float


def view_of(arm: Arm) -> tuple[int, int]:
    """Return what an arm's features depend on: pooling of the feature map, and the head's covariance rank."""
    return arm.pool, _head(arm).covariance_rank


def backbone_of(data: Data, grid: Grid, view: tuple[int, int]) -> Backbone:
    """Build the backbone behind some features."""
    pool, rank = view
    return frozen_backbone(data.train, rank, grid.backbone, grid.image_size, pool, data.cache_dir)


def features_of(data: Data, grid: Grid, backbone: Backbone) -> PartFeatures:
    """Load the features of both parts, computing them if they are not cached."""
    train, test = (
        plain_view(backbone, part, grid.image_size, data.cache_dir) for part in (data.train, data.test)
    )
    return PartFeatures(backbone, train, test)


def hide_cell(data: Data, cell: GridCell, val: float) -> Hidden:
    """Hide the labels of a cell, and draw the validation set, stratified by the labels that stay known."""
    options = cell.protocol.options | ({} if cell.known is None else {"known": cell.known})
    hidden = data.train.hide(cell.protocol.scheme, seed=cell.seed, **options)
    return Hidden(hidden, statistics.split_stratified(hidden.labels, val, cell.seed))


def run_cell(
    data: Data, given: PartFeatures, cell: GridCell, found: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Compute one row of results.

    Args:
        data: The images.
        given: Features of the images that the arm needs.
        cell: The cell to run.
        found: Hyperparameters found with the first seed; None to search.

    Raises:
        FloatingPointError: The loss is not finite for any of the hyperparameters.
    """
    tries = cell.grid.tries(cell.arm) if found is None else [dict(found)]
    hidden = hide_cell(data, cell, cell.grid.config(cell.arm, cell.seed, {}).val)
    best: Trained | None = None
    fault: FloatingPointError | None = None
    costs, seconds, peaks = [], [], []
    for tried in tries:
        _forget_peak()
        try:
            trained = train_cell(data, given, cell, hidden, tried)
        except FloatingPointError as error:  # another value may do
            fault = error
            costs.append(math.inf)
            continue
        peaks.append(_peak_mb())
        seconds.append(trained.seconds)
        costs.append(math.inf if math.isnan(trained.cost) else trained.cost)
        if best is None or costs[-1] < min(costs[:-1]):
            best, found = trained, tried
        del trained  # before the next one
    if best is None:
        assert fault is not None
        raise fault
    scores = _scores(data, given, hidden, best.method)
    return {
        "arm": cell.arm.name,
        "method": cell.arm.method,
        "protocol": cell.protocol.name,
        "known": cell.known,
        "seed": cell.seed,
        "known_share": hidden.table.known / hidden.table.labels.size,
        "found": found,
        "tries": [{**tried, "cost": cost} for tried, cost in zip(tries, costs, strict=True)],
        **scores,
        "seconds": sum(seconds) / len(seconds),
        "peak_mb": max(peaks),
        "history": best.history,
    }


def train_cell(
    data: Data, given: PartFeatures, cell: GridCell, hidden: Hidden, tried: Mapping[str, Any]
) -> Trained:
    """Train an arm with given hyperparameters to the last epoch, when the learning rate has decayed to zero."""
    config = cell.grid.config(cell.arm, cell.seed, tried)
    rows, val_rows = np.flatnonzero(~hidden.is_val), np.flatnonzero(hidden.is_val)
    part, val = hidden.table[rows], hidden.table[val_rows]
    model = _build(given, cell.arm, part, config, cell.grid.image_size)
    learner = TrainingModule(model, config, part.classes, part.images, data.train.labels[rows])
    judge = FeatureDataset(given.train, val, val_rows)
    learn = FeatureDataset(given.train, part, rows, config.seed)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        ran = Run(folder)
        fit(learner, loader(learn, config.batch_size, True, config.seed), loader(judge, 512), ran)
        model.load_state_dict(weights(ran.last))
    model.eval()
    if cell.arm.fine_tuned is not None:
        plain = FeatureDataset(given.train, part, rows)
        fine_tune_method(model, loader(plain, 512), loader(judge, 512), **cell.arm.fine_tuned)
    seconds = time.perf_counter() - began
    scores = logits(model, loader(judge, 512))
    return Trained(cost(scores, val.labels), model, learner.history, seconds)


def cost(scores: Float[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"]) -> float:
    """Compute the mean cross-entropy of known labels after calibration by a common slope and an offset per class.

    The target metric is mean AP, which is noise over twenty known cells of a class. Cross-entropy is stable, but
    without calibration it penalises methods whose scores are no probabilities.
    """
    z, y = torch.from_numpy(scores), torch.from_numpy(labels.copy())
    return calibrate(z, z.mean(0), y).cost / max(int((labels != UNKNOWN).sum()), 1)


def _build(
    given: PartFeatures, arm: Arm, part: LabelTable, config: TrainingConfig, image_size: int = 224
) -> Method:
    tower = prompting.tower_of(arm.method, image_size, config)
    classes = prompting.in_space(describe_classes(part, arm.words), tower)
    torch.manual_seed(config.seed)
    head, kind = _head(arm)(given.backbone.channels, classes, **arm.head_args), methods.get(arm.method)
    if kind.needs_full_batch:
        raise ValueError(
            f"arm {arm.name!r}: a benchmark trains by steps, and only the full-batch solver fits {arm.method}; take "
            "another method (benchmarks/evidence.py compares this one)"
        )
    method = kind(given.backbone, head, **arm.method_args)
    prompting.check_image_encoder(tower, method, arm.name)
    return method


def _head(arm: Arm) -> type[heads.Head]:
    return heads.get(arm.head or methods.get(arm.method).default_head)


def _scores(data: Data, given: PartFeatures, hidden: Hidden, model: Method) -> dict[str, float]:
    """Score on the test part, and on the unknown labels of the training images."""
    test = FeatureDataset(given.test, data.test, np.arange(len(data.test)))
    evaluation = metrics.evaluate(logits(model, loader(test, 512)), data.test.labels, data.test.classes)
    rows = np.flatnonzero(~hidden.is_val)
    blank = FeatureDataset(given.train, hidden.table[rows], rows)
    truth = np.where(hidden.table.labels[rows] == UNKNOWN, data.train.labels[rows], np.int8(UNKNOWN))
    filled = metrics.evaluate(logits(model, loader(blank, 512)), truth, data.test.classes)
    names = {"mAP": "map", "mAP interpolated": "map_interpolated", "OF1": "of1", "CF1": "cf1"}
    return {name: evaluation.numbers[of] for of, name in names.items()} | {"blanks_map": filled.map}


def _forget_peak() -> None:
    """Reset the peak of memory, where the system can, after the remains of trainers are freed."""
    gc.collect()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    """Return the peak memory of this process in MB."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
