"""Puts a run together: datasets, cache, learner; afterwards what the run leaves in its folder."""

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int
from torch import nn
from torch.utils.data import DataLoader, Dataset

from partlabel import completion, ranks
from partlabel.completion import Completion
from partlabel.config import Cache, TrainingConfig
from partlabel.data import features, room, statistics, words
from partlabel.data.aside import written_aside
from partlabel.data.images import ImageDataset, Rows, eval_transform, train_transform
from partlabel.data.module import ahead, as_it_is, loader
from partlabel.data.parts import TRAIN, VAL, Parts, readable, truth_of
from partlabel.data.table import LabelTable
from partlabel.methods import Batch, Method
from partlabel.nn import backbone as backbones
from partlabel.nn.backbone import Backbone, Preprocessing
from partlabel.nn.classes import Classes
from partlabel.nn.pooling import CovariancePooling
from partlabel.progress import track
from partlabel.run import Run
from partlabel.text import in_bytes

if TYPE_CHECKING:
    from partlabel.report import Example
    from partlabel.tagger import Tagger

View = tuple[int, Preprocessing]
EXAMPLES = 6
COMPLETED_FROM = 20_000
"""Training images that `completion.py` learns from, at most."""
POOLED_FROM, POOLED_AT_ONCE = 512, 8
"""Images that a pooling is fitted on, and how many at a time."""


class Outcome(NamedTuple):
    """What training came to.

    Attributes:
        history: What was measured in each epoch.
        val_logits: Of the validation images, by the best epoch; None without validation.
        completion: What known labels of an image say of its unknown ones; None where that does not help.
    """

    history: list[dict[str, Any]]
    val_logits: Float[np.ndarray, "image class"] | None
    completion: Completion | None = None


def dataset(
    model: Method,
    view: View,
    table: LabelTable,
    cache: Cache | None = None,
    cache_dir: str | Path | None = None,
    workers: int = 0,
    cache_size: str | None = None,
) -> Dataset[Batch]:
    """The plain images of a table, or what the cache has of them.

    Args:
        model: Its backbone's stem is what is cached.
        view: Side of the images, and what the backbone expects.
        table: The images.
        cache: Whether to cache.
        cache_dir: Where.
        workers: Processes that read images for the cache.
        cache_size: What caches may take, as in `20GB`.
    """
    plain = eval_transform(*view)
    if cache is None:
        return ImageDataset(table, plain, size=view[0])
    views = features.compute(
        _backbone(model),
        table,
        plain,
        size=view[0],
        where=cache_dir,
        workers=workers,
        limit=None if cache_size is None else in_bytes(cache_size),
    )
    return features.FeatureDataset(views, table, np.arange(len(table)))


def train(
    model: Method,
    view: View,
    config: TrainingConfig,
    parts: Parts,
    truth: LabelTable | None,
    run: Run,
    checkpoint: Path | None,
    pooled: bool = False,
    trained: Callable[[], None] = lambda: None,
) -> Outcome:
    """Train a method on the parts of a table.

    Args:
        model: What is trained.
        view: Side of the images, and what the backbone expects.
        config: How.
        parts: On what.
        truth: What is true of the training images.
        run: Where.
        checkpoint: What to go on from.
        pooled: Whether the backbone's pooling, if it has one to fit, is fitted already.
        trained: Called as soon as the best epoch's weights are in the method: what follows may take long, or fail.

    Returns:
        The history, and the logits of the validation images; the best epoch's weights are in the method.
    """
    from partlabel.learner import Learner
    from partlabel.training import fit

    _warn_of_late_start(model, config.epochs)
    # Another seed divides the same images otherwise, and finds the same components, so the same cache.
    if not pooled:
        fit_pooling(_backbone(model), view, _in_use(parts))
    cached = config.cache is not None
    learn, judge = _datasets(model, view, config, parts)
    workers = 0 if cached else config.workers
    pin = config.accelerator != "cpu" and torch.cuda.is_available()
    true = None if truth is None else truth_of(parts.train, truth)
    learner = Learner(model, config, parts.table.classes, parts.train.images, true, cached)
    batches = loader(learn, config.batch_size, True, config.seed, workers, pin)
    judged = (
        None if judge is None else loader(judge, 2 * config.batch_size, workers=workers, pin=pin, share=True)
    )
    fit(learner, batches, judged, run, checkpoint)
    trained()
    if judged is None or parts.val is None:
        return Outcome(learner.history, None)
    said = logits(model, judged, cached, share=True)
    if not config.completion or completion.too_many(said.shape[1]):
        return Outcome(learner.history, said)
    rows = np.sort(np.random.default_rng(config.seed).permutation(len(parts.train))[:COMPLETED_FROM])
    rank, processes = ranks.place()
    share = np.array_split(rows, processes)[rank]
    chunks = [
        Rows(-1, part.tolist()) for part in np.array_split(share, -(-len(share) // (2 * config.batch_size)))
    ]
    plain = DataLoader(learn, batch_size=None, sampler=chunks, num_workers=workers, collate_fn=as_it_is)
    learned = logits(model, plain, cached, share=True)
    votes = completion.fit(learned, parts.train.labels[rows], said, parts.val.labels)
    return Outcome(learner.history, said, votes)


def _warn_of_late_start(model: Method, epochs: int) -> None:
    start = getattr(model, "start_epoch", None)
    if isinstance(start, int) and start >= epochs:
        warnings.warn(
            f"{type(model).__name__} begins with what is its own in epoch {start} (from 0), and there are {epochs}: "
            "give more epochs (--epochs), or an earlier start_epoch (--method.start_epoch)",
            stacklevel=4,
        )


def classes_of(table: LabelTable, vectors: str | Path | None = None) -> Classes:
    """What the known labels of a table say of its classes before training.

    Args:
        table: The training images.
        vectors: Where class vectors come from, as `words.vectors` takes it.
    """
    found = words.vectors(table.classes, vectors)
    return Classes(
        table.classes,
        None if found is None else torch.from_numpy(found),
        torch.from_numpy(statistics.cooccurrence(table.labels)),
        torch.from_numpy(statistics.prevalence(table.labels)),
    )


def frozen(
    table: LabelTable, covariance_rank: int = 0, name: str = backbones.LITE0, size: int = 224, pool: int = 1
) -> Backbone:
    """A backbone that is not trained, its pooling fitted.

    Args:
        table: What the pooling is fitted on, where there is one to fit.
        covariance_rank: What the head wants of that.
        name: As timm knows it.
        size: Side of the images.
        pool: Average the feature map over squares of so many places a side.
    """
    backbone = backbones.create(
        name, trainable="none", image_size=size, pool=pool, covariance_rank=covariance_rank
    )
    fit_pooling(backbone, (size, backbone.preprocessing), table)
    return backbone


def plain_view(
    backbone: Backbone, table: LabelTable, size: int = 224, cache_dir: str | Path | None = None
) -> list[room.View]:
    """The features of the plain images of a table, computed if nobody did before."""
    return features.compute(
        backbone, table, eval_transform(size, backbone.preprocessing), size=size, where=cache_dir
    )


def fit_pooling(backbone: nn.Module, view: View, table: LabelTable) -> None:
    """Fit a backbone's pooling, where it has one to fit, on plain images of a table, evenly spaced.

    Args:
        backbone: Changed in place.
        view: Side of the images, and what the backbone expects.
        table: The images; their labels do not matter.
    """
    if not any(isinstance(module, CovariancePooling) for module in backbone.modules()):
        return
    rows = np.unique(np.linspace(0, len(table) - 1, min(len(table), POOLED_FROM)).round().astype(int))
    images = ImageDataset(table[rows], eval_transform(*view), size=view[0])
    batches = track(loader(images, POOLED_AT_ONCE), "Finding components")
    backbones.fit_pooling(backbone, (batch.images for batch in batches))


def logits(
    model: Method, batches: DataLoader[Batch], cached: bool = False, share: bool = False
) -> Float[np.ndarray, "image class"]:
    """What a method says of all images.

    Args:
        model: In eval mode.
        batches: In the order wanted.
        cached: Whether they hold outputs of the backbone's stem.
        share: Whether they are the share of one of several processes; then all come to know all.
    """
    own = scored(model, batches, cached)[1]
    return ranks.gather(torch.from_numpy(own))[0].numpy() if share else own


def scored(
    model: Method, batches: DataLoader[Batch], cached: bool = False
) -> tuple[Int[np.ndarray, " image"], Float[np.ndarray, "image class"]]:
    """Which images batches had, and what a method says of them; arguments as `logits`.

    The next batches are read while the network is at work.
    """
    device = next(model.parameters()).device
    index, found = [], []
    with torch.inference_mode(), _backbone(model).stem_done() if cached else nullcontext():
        for batch in track(ahead(batches), "Looking at images", len(batches)):
            if len(batch.images):
                found.append(model(batch.images.to(device)).float().cpu().numpy())
            index.append(batch.index.numpy())
    return np.concatenate(index), np.concatenate(found) if found else np.zeros((0, 0), np.float32)


def scored_readable(
    model: Method, view: View, table: LabelTable, batch_size: int, workers: int, skip_broken: bool
) -> tuple[Int[np.ndarray, " image"], Float[np.ndarray, "image class"]]:
    """Which images of a table can be read, and what a method says of them. Each is read once.

    Args:
        model: In eval mode.
        view: Side of the images, and what the backbone expects.
        table: The images.
        batch_size: Images at a time.
        workers: Processes that read images.
        skip_broken: Leave images out that cannot be read, rather than refuse.

    Raises:
        ValueError: Images cannot be read, and are not to be left out: all are listed.
    """
    images = ImageDataset(table, eval_transform(*view), size=view[0], leave_out=skip_broken)
    try:
        return scored(model, loader(images, batch_size, workers=workers))
    except OSError:
        readable(table, np.ones(len(table), bool), skip_broken)  # names all of them
        raise


def write_parts(run: Run, parts: Parts) -> None:
    """Write the table with its split, and the images that were left out."""
    parts.table.save(run.labels)
    if parts.skipped:
        with written_aside(run.skipped) as aside:
            pl.DataFrame([broken._asdict() for broken in parts.skipped]).write_csv(aside)


def write_results(
    tagger: "Tagger", run: Run, parts: Parts, outcome: Outcome, graph: Float[np.ndarray, "class class"]
) -> None:
    """Write what the run came to: the evaluation on validation, and the report."""
    from partlabel import metrics, report, run_report

    evaluation, predictions, examples = None, None, []
    if parts.val is not None and outcome.val_logits is not None:
        predictions = (outcome.val_logits, parts.val.labels)
        evaluation = metrics.evaluate(*predictions, tagger.classes)
        evaluation.save(run.validation)
        examples = examples_of(tagger, parts.val[:EXAMPLES])
        run_report.announce(run, "validation", predictions, tagger.classes)
    report.build(
        run.report,
        title=tagger.name,
        evaluation=evaluation,
        predictions=predictions,
        history=outcome.history,  # type: ignore[arg-type]
        table=parts.train,
        graph=graph,
        examples=examples,
        **run_report.shown(run),
    )


def _datasets(
    model: Method, view: View, config: TrainingConfig, parts: Parts
) -> tuple[Dataset[Batch], Dataset[Batch] | None]:
    """What is learned from, and what chooses the epoch."""
    size, preprocessing = view
    plain = eval_transform(size, preprocessing)
    augment = None if config.augment == "none" else train_transform(size, preprocessing, config.augment)
    if config.cache is None:
        learn: Dataset[Batch] = ImageDataset(parts.train, plain, augment, size, config.seed)
        return learn, None if parts.val is None else ImageDataset(parts.val, plain, size=size)
    views = features.compute(
        _backbone(model),
        whole := _in_use(parts),
        plain,
        augment,
        config.cache_views,
        size,
        config.cache_dir,
        config.workers,
        None if config.cache_size is None else in_bytes(config.cache_size),
    )
    row = {image: number for number, image in enumerate(whole.images)}
    rows = np.array([row[image] for image in parts.train.images])
    learn = features.FeatureDataset(views, parts.train, rows, config.seed)
    if parts.val is None:
        return learn, None
    if parts.val.root == whole.root and all(image in row for image in parts.val.images):
        return learn, features.FeatureDataset(
            views[:1], parts.val, np.array([row[i] for i in parts.val.images])
        )
    return learn, dataset(
        model, view, parts.val, config.cache, config.cache_dir, config.workers, config.cache_size
    )


def _in_use(parts: Parts) -> LabelTable:
    """Training and validation images together: another seed divides the same ones otherwise."""
    return parts.table[[row for row, part in enumerate(parts.table.split or ()) if part in (TRAIN, VAL)]]


def _backbone(model: Method) -> Backbone:
    assert isinstance(model.backbone, Backbone)
    return model.backbone


def examples_of(tagger: "Tagger", table: LabelTable) -> "list[Example]":
    """Attention and co-occurrence of a few images, where the method has them."""
    from partlabel.report import Example

    model = tagger.model
    assert model is not None
    device = next(model.parameters()).device
    batch = next(iter(loader(dataset(model, tagger.view, table), len(table))))
    with torch.inference_mode():
        images = batch.images.to(device)
        out, judged = model.outputs(images), model(images)
        together = None
        if out.features is not None and hasattr(model, "cooccurrence"):
            together = model.cooccurrence(out.features).float().cpu().numpy()  # type: ignore[operator]
    sure = judged.float().sigmoid().cpu().numpy()
    attention = None if out.attention is None else out.attention.float().cpu().numpy()
    return [
        Example(
            table.path(row),
            table.labels[row],
            sure[row],
            None if together is None else together[row],
            None if attention is None else attention[row],
        )
        for row in range(len(table))
    ]
