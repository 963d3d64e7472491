"""Puts a run together: datasets, cache, learner; afterwards what the run leaves in its folder."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int, Int8
from torch import nn
from torch.utils.data import DataLoader, Dataset

from partlabel.core import distributed
from partlabel.core.files import atomic_write
from partlabel.core.messages import some
from partlabel.core.progress_bar import progress, track
from partlabel.core.types import Batch, Preprocessing
from partlabel.data import class_vectors
from partlabel.data.cache import feature_cache
from partlabel.data.cache.feature_store import Stored
from partlabel.data.images.dataset import BatchRows, ImageDataset, eval_transform, train_transform
from partlabel.data.images.loader import ahead, as_it_is, loader
from partlabel.data.tables import statistics
from partlabel.data.tables.label_table import LabelTable
from partlabel.data.tables.part_names import TEST, TRAIN, VAL
from partlabel.data.tables.splits import Find, Parts, truth_of, without_broken
from partlabel.evaluation.headline import HeadlineKind
from partlabel.methods import Method
from partlabel.nn import backbone as backbones
from partlabel.nn.backbone import Backbone
from partlabel.nn.classes import Classes
from partlabel.nn.pooling import CovariancePooling
from partlabel.posthoc import label_completion
from partlabel.posthoc.label_completion import Completion
from partlabel.selection.result import Selection, save_out_of_fold
from partlabel.selection.table import OUT_OF_FOLD, VALIDATION
from partlabel.training import caching
from partlabel.training.config import TrainingConfig
from partlabel.training.run_folder import Run

if TYPE_CHECKING:
    from partlabel.reporting.run_report import Example
    from partlabel.tagger import Tagger

InputView = tuple[int, Preprocessing]
EXAMPLES = 6
COMPLETED_FROM = 20_000
"""Training images that `completion.py` learns from, at most."""
JUDGING = 5
"""One in so many of them judges the votes, where there is no validation set."""
POOLED_FROM, POOLED_AT_ONCE = 512, 8
"""Images that a pooling is fitted on, and how many at a time."""


class TrainingResult(NamedTuple):
    """What training came to.

    Attributes:
        history: What was measured in each epoch.
        val_logits: Of the validation images, by the best epoch; None without validation.
        completion: What known labels of an image say of its unknown ones; None where that does not help.
        selection: What a search of settings found.
    """

    history: list[dict[str, Any]]
    val_logits: Float[np.ndarray, "image class"] | None
    completion: Completion | None = None
    selection: Selection | None = None


def train(
    model: Method,
    view: InputView,
    config: TrainingConfig,
    parts: Parts,
    truth: LabelTable | None,
    run: Run,
    checkpoint: Path | None,
    pooled: bool = False,
    trained: Callable[[], None] = lambda: None,
) -> TrainingResult:
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
    from partlabel.training.lightning_module import TrainingModule
    from partlabel.training.trainer import fit

    _warn_of_late_start(model, config.epochs)
    # Another seed divides the same images otherwise, and finds the same components, so the same cache.
    cached = caching.uses_cache(_backbone(model).is_frozen, config)
    if not pooled:
        fit_pooling_on(_backbone(model), view, in_use(parts), config if cached else None)
    learn, judge = _datasets(model, view, config, parts)
    workers = 0 if cached else config.workers
    pin = config.accelerator != "cpu" and torch.cuda.is_available()
    true = None if truth is None else truth_of(parts.train, truth)
    learner = TrainingModule(model, config, parts.table.classes, parts.train.images, true, cached)
    batches = loader(learn, config.batch_size, True, config.seed, workers, pin)
    judged = (
        None if judge is None else loader(judge, 2 * config.batch_size, workers=workers, pin=pin, share=True)
    )
    fit(learner, batches, judged, run, checkpoint)
    trained()
    if judged is None or parts.val is None:
        return TrainingResult(learner.history, None)
    said = logits(model, judged, cached, share=True)
    if not config.completion or label_completion.too_many(said.shape[1]):
        return TrainingResult(learner.history, said)
    rows = np.sort(np.random.default_rng(config.seed).permutation(len(parts.train))[:COMPLETED_FROM])
    rank, processes = distributed.rank_and_world_size()
    share = np.array_split(rows, processes)[rank]
    chunks = [
        BatchRows(-1, part.tolist())
        for part in np.array_split(share, -(-len(share) // (2 * config.batch_size)))
    ]
    plain = DataLoader(learn, batch_size=None, sampler=chunks, num_workers=workers, collate_fn=as_it_is)
    learned = logits(model, plain, cached, share=True)
    votes = label_completion.fit_completion(learned, parts.train.labels[rows], said, parts.val.labels)
    return TrainingResult(learner.history, said, votes)


def without_steps(
    model: Method,
    view: InputView,
    config: TrainingConfig,
    parts: Parts,
    run: Run,
    selection: Selection,
    trained: Callable[[], None],
) -> TrainingResult:
    """Keep what a search found, and look at what follows from its out-of-fold predictions.

    Args:
        model: The winner, fitted.
        view: Side of the images, and what the backbone expects.
        config: How.
        parts: The images.
        run: Where.
        selection: What was found.
        trained: Called first: what follows may take long, or fail.
    """
    trained()
    selection.save(run.selection, OUT_OF_FOLD if parts.val is None else VALIDATION)
    save_out_of_fold(run.out_of_fold, selection.logits)
    said = None
    if parts.val is not None:
        said = scores(
            model, view, parts.val, config.batch_size, config.workers, False, caching.where_of(config)
        )
    votes = completed(selection.logits, parts.train.labels, config)
    return TrainingResult([], said, votes, selection)


def completed(
    logits: Float[np.ndarray, "image class"], labels: Int8[np.ndarray, "image class"], config: TrainingConfig
) -> Completion | None:
    """What known labels of an image say of its unknown ones, from out-of-fold logits: a fifth of the images judge."""
    if not config.completion or label_completion.too_many(logits.shape[1]) or len(logits) < 2:
        return None
    order = np.random.default_rng(config.seed).permutation(len(logits))[:COMPLETED_FROM]
    judge, learn = np.split(order, [max(len(order) // JUDGING, 1)])
    return label_completion.fit_completion(logits[learn], labels[learn], logits[judge], labels[judge])


def _warn_of_late_start(model: Method, epochs: int) -> None:
    start = getattr(model, "start_epoch", None)
    if isinstance(start, int) and start >= epochs:
        warnings.warn(
            f"{type(model).__name__} begins with what is its own in epoch {start} (from 0), and there are {epochs}: "
            "give more epochs (--epochs), or an earlier start_epoch (--method.start_epoch)",
            stacklevel=4,
        )


def describe_classes(table: LabelTable, vectors: str | Path | None = None) -> Classes:
    """What the known labels of a table say of its classes before training.

    Args:
        table: The training images.
        vectors: Where class vectors come from, as `words.vectors` takes it.
    """
    found = class_vectors.vectors(table.classes, vectors)
    return Classes(
        table.classes,
        None if found is None else torch.from_numpy(found),
        torch.from_numpy(statistics.cooccurrence(table.labels)),
        torch.from_numpy(statistics.prevalence(table.labels)),
    )


def frozen_backbone(
    table: LabelTable,
    covariance_rank: int = 0,
    name: str = backbones.LITE0,
    size: int = 224,
    pool: int = 1,
    cache_dir: str | Path | None = None,
) -> Backbone:
    """A backbone that is not trained, its pooling fitted, for which the features of the table are computed.

    Args:
        table: What the pooling is fitted on, where there is one to fit.
        covariance_rank: What the head wants of that.
        name: As timm knows it.
        size: Side of the images.
        pool: Average the feature map over squares of so many places a side.
        cache_dir: The folder of the feature cache.
    """
    backbone = backbones.create(
        name, trainable="none", image_size=size, pool=pool, covariance_rank=covariance_rank
    )
    if covariance_rank:
        plain_view(backbone, table, size, cache_dir)
    return backbone


def plain_view(
    backbone: Backbone, table: LabelTable, size: int = 224, cache_dir: str | Path | None = None
) -> list[Stored]:
    """The features of the plain images of a table, computed if nobody did before."""
    return feature_cache.compute(
        backbone, table, eval_transform(size, backbone.preprocessing), size=size, where=cache_dir
    )


def fit_pooling_on(
    backbone: nn.Module, view: InputView, table: LabelTable, cached: TrainingConfig | None = None
) -> None:
    """Fit a backbone's pooling, where it has one to fit, on plain images of a table, evenly spaced.

    Args:
        backbone: Changed in place.
        view: Side of the images, and what the backbone expects.
        table: The images; their labels do not matter.
        cached: How a run trains that caches features; None where nothing is cached.
    """
    if pooling_of(backbone) is None:
        return
    assert isinstance(backbone, Backbone)
    if cached is not None:
        (stored,), _ = caching.look(backbone, view[0], table, cached, views=1)
        if backbone.pooling is not None:  # fitted in that pass, or loaded
            return
    rows = np.unique(np.linspace(0, len(table) - 1, min(len(table), POOLED_FROM)).round().astype(int))
    images: Dataset[Batch] = (
        ImageDataset(table[rows], eval_transform(*view), size=view[0])
        if cached is None
        else feature_cache.FeatureDataset([stored], table[rows], rows)
    )
    with backbone.stem_done() if cached is not None else nullcontext():
        batches = track(
            loader(images, POOLED_AT_ONCE), "Fitting the pooling", len(rows), "photos", POOLED_AT_ONCE
        )
        backbones.fit_pooling(backbone, (batch.images for batch in batches))


def pooling_of(backbone: nn.Module) -> CovariancePooling | None:
    """The pooling of a backbone that is to be fitted, if it has one."""
    return next((module for module in backbone.modules() if isinstance(module, CovariancePooling)), None)


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
    return distributed.all_gather_rows(torch.from_numpy(own))[0].numpy() if share else own


def scored(
    model: Method, batches: DataLoader[Batch], cached: bool = False
) -> tuple[Int[np.ndarray, " image"], Float[np.ndarray, "image class"]]:
    """Which images batches had, and what a method says of them; arguments as `logits`.

    The next batches are read while the network is at work.
    """
    device = next(model.parameters()).device
    index, found = [], []
    chosen = batches.sampler
    photos = sum(len(rows.rows) for rows in chosen) if isinstance(chosen, list) else len(batches.dataset)  # type: ignore[arg-type]
    with torch.inference_mode(), _backbone(model).stem_done() if cached else nullcontext():
        for batch in _told(
            ahead(batches), photos, "Scoring cached photos" if cached else "Looking at photos"
        ):
            if len(batch.images):
                found.append(model(batch.images.to(device)).float().cpu().numpy())
            index.append(batch.index.numpy())
    return np.concatenate(index), np.concatenate(found) if found else np.zeros((0, 0), np.float32)


def _told(batches: Iterable[Batch], photos: int, doing: str) -> Iterator[Batch]:
    """Batches, with the progress in photos."""
    with progress(doing, photos, "photos") as advance:
        for batch in batches:
            yield batch
            advance(len(batch.index))


def scores(
    model: Method,
    view: InputView,
    table: LabelTable,
    batch_size: int,
    workers: int,
    keep: bool,
    where: caching.Where,
) -> Float[np.ndarray, "image class"]:
    """What a method says of all images of a table.

    Args:
        model: In eval mode.
        view: Side of the images, and what the backbone expects.
        table: The images.
        batch_size: Images at a time.
        workers: Processes that read images.
        keep: Whether features that are computed are kept in the cache.
        where: The cache.

    Raises:
        OSError: An image cannot be read.
    """
    if keep:
        views = feature_cache.compute(
            _backbone(model), table, eval_transform(*view), size=view[0], where=where.folder, workers=workers
        )
        stored = feature_cache.FeatureDataset(views, table, np.arange(len(table)))
        return logits(model, loader(stored, batch_size), cached=True)
    return _scored(model, view, table, batch_size, workers, False, where)[1]


def scored_readable(
    model: Method,
    view: InputView,
    table: LabelTable,
    batch_size: int,
    workers: int,
    skip_broken: bool,
    where: caching.Where,
) -> tuple[Int[np.ndarray, " image"], Float[np.ndarray, "image class"]]:
    """Which images of a table can be read, and what a method says of them.

    Each is read once, or not at all where training left its features in the cache.

    Args:
        model: In eval mode.
        view: Side of the images, and what the backbone expects.
        table: The images.
        batch_size: Images at a time.
        workers: Processes that read images.
        skip_broken: Leave images out that cannot be read, rather than refuse.
        where: The cache.

    Raises:
        ValueError: Images cannot be read, and are not to be left out: all are listed.
    """
    try:
        return _scored(model, view, table, batch_size, workers, skip_broken, where)
    except OSError:
        without_broken(table, np.ones(len(table), bool), skip_broken)  # names all of them
        raise


def _scored(
    model: Method,
    view: InputView,
    table: LabelTable,
    batch_size: int,
    workers: int,
    leave_out: bool,
    where: caching.Where,
) -> tuple[Int[np.ndarray, " image"], Float[np.ndarray, "image class"]]:
    """Which images were scored, and their logits: of cached features where there are any."""
    stored = caching.there(model, view, table, where)
    cached = np.zeros(len(table), bool) if stored is None else stored.there
    rows, found = [], []
    if stored is not None and cached.any():
        at = np.flatnonzero(cached)
        index, said = scored(
            model, loader(feature_cache.FeatureDataset([stored], table[at], at), batch_size), True
        )
        rows.append(at[index])
        found.append(said)
    if not cached.all():
        at = np.flatnonzero(~cached)
        images = ImageDataset(table[at], eval_transform(*view), size=view[0], leave_out=leave_out)
        index, said = scored(model, loader(images, batch_size, workers=workers))
        rows.append(at[index])
        found.append(said)
    order = np.argsort(np.concatenate(rows), kind="stable")
    some = [each for each in found if len(each)]
    return np.concatenate(rows)[order], np.concatenate(some)[order] if some else found[0]


def write_parts(run: Run, parts: Parts) -> None:
    """Write the table with its split, and the images that were left out."""
    parts.table.save(run.labels)
    if parts.skipped:
        with atomic_write(run.skipped) as aside:
            pl.DataFrame([broken._asdict() for broken in parts.skipped]).write_csv(aside)


def write_results(
    tagger: "Tagger",
    run: Run,
    parts: Parts,
    outcome: TrainingResult,
    graph: Float[np.ndarray, "class class"],
    find: Find,
) -> None:
    """Write what the run came to: the evaluation on validation, that on a labelled part `test`, and the report."""
    from partlabel.evaluation import metrics
    from partlabel.reporting import run_report, run_sections

    evaluation, predictions, examples = None, None, []
    kind: HeadlineKind = "cross-validation" if parts.val is None else "validation"
    if parts.val is not None and outcome.val_logits is not None:
        predictions = (outcome.val_logits, parts.val.labels)
    elif outcome.selection is not None:
        predictions = (outcome.selection.logits, parts.train.labels)
    if predictions is not None:
        evaluation = metrics.evaluate(*predictions, tagger.classes)
        evaluation.save(run.validation)
        run_sections.announce(run, kind, predictions, tagger.classes)
        examples = examples_of(tagger, (parts.train if parts.val is None else parts.val)[:EXAMPLES])
    tested = score_test(tagger, parts, find)
    if tested is not None:
        metrics.evaluate(*tested, tagger.classes).save(run.test)
        run_sections.announce(run, "test", tested, tagger.classes)
    run_report.build(
        run.report,
        title=tagger.name,
        evaluation=evaluation,
        predictions=predictions,
        history=outcome.history,  # type: ignore[arg-type]
        table=parts.train,
        graph=graph,
        examples=examples,
        kind=kind,
        **run_sections.shown(run),
    )


def score_test(
    tagger: "Tagger", parts: Parts, find: Find
) -> tuple[Float[np.ndarray, "image class"], Int8[np.ndarray, "image class"]] | None:
    """Logits and labels of the part `test`; None where there is none, or none of its labels is known.

    Images that cannot be read are left out with a warning: a training that has ended does not fail because of them.

    Args:
        tagger: Fitted.
        parts: Of the table.
        find: Finds the images that cannot be read, and caches the features of the others if the run does.
    """
    if TEST not in parts.table.parts:
        return None
    table, model = parts.table.part(TEST), tagger.model
    if not table.known or model is None:
        return None
    broken = find(table)
    out = {each.image for each in broken}
    kept = (
        table[[row for row, image in enumerate(table.images) if image not in out]]
        if len(out) < len(table)
        else None
    )
    if broken:
        listed = some((f"{image} ({reason})" for image, reason in broken), most=3)
        warnings.warn(
            f"{len(broken)} of {len(table)} images of the part 'test' cannot be read and are not scored: {listed}",
            stacklevel=2,
        )
    return None if kept is None or not kept.known else (tagger.scores(kept), kept.labels)


def _datasets(
    model: Method, view: InputView, config: TrainingConfig, parts: Parts
) -> tuple[Dataset[Batch], Dataset[Batch] | None]:
    """What is learned from, and what chooses the epoch."""
    size, preprocessing = view
    plain = eval_transform(size, preprocessing)
    augment = None if config.augment == "none" else train_transform(size, preprocessing, config.augment)
    if not caching.uses_cache(_backbone(model).is_frozen, config):
        learn: Dataset[Batch] = ImageDataset(parts.train, plain, augment, size, config.seed)
        return learn, None if parts.val is None else ImageDataset(parts.val, plain, size=size)
    views = _views(_backbone(model), size, whole := in_use(parts), config)
    row = {image: number for number, image in enumerate(whole.images)}
    rows = np.array([row[image] for image in parts.train.images])
    learn = feature_cache.FeatureDataset(views, parts.train, rows, config.seed)
    if parts.val is None:
        return learn, None
    if parts.val.root == whole.root and all(image in row for image in parts.val.images):
        return learn, feature_cache.FeatureDataset(
            views[:1], parts.val, np.array([row[i] for i in parts.val.images])
        )
    return learn, plain_images(_backbone(model), view, parts.val, config)


def plain_images(
    backbone: Backbone, view: InputView, table: LabelTable, config: TrainingConfig
) -> Dataset[Batch]:
    """The plain images of a table whose images can all be read, or their cached features if the run caches them."""
    if not caching.uses_cache(backbone.is_frozen, config):
        return ImageDataset(table, eval_transform(*view), size=view[0])
    return feature_cache.FeatureDataset(
        _views(backbone, view[0], table, config, 1), table, np.arange(len(table))
    )


def _views(
    backbone: Backbone, size: int, table: LabelTable, config: TrainingConfig, views: int | None = None
) -> list[Stored]:
    """The features of a table whose images can all be read.

    Raises:
        OSError: One cannot, after all.
    """
    found, broken = caching.look(backbone, size, table, config, views)
    if broken:
        raise OSError(f"{Path(table.root or '.') / broken[0].image}: {broken[0].reason}")
    return found


def in_use(parts: Parts) -> LabelTable:
    """Training and validation images together: another seed divides the same ones otherwise."""
    return parts.table[[row for row, part in enumerate(parts.table.split or ()) if part in (TRAIN, VAL)]]


def _backbone(model: Method) -> Backbone:
    assert isinstance(model.backbone, Backbone)
    return model.backbone


def examples_of(tagger: "Tagger", table: LabelTable) -> "list[Example]":
    """Attention and co-occurrence of a few images, where the method has them."""
    from partlabel.reporting.run_report import Example

    model = tagger.model
    assert model is not None
    device = next(model.parameters()).device
    stored = caching.there(model, tagger.view, table, tagger.cache)
    cached = stored is not None and bool(stored.there.all())
    images = (
        feature_cache.FeatureDataset([stored], table, np.arange(len(table)))
        if stored is not None and cached
        else ImageDataset(table, eval_transform(*tagger.view), size=tagger.view[0])
    )
    batch = next(iter(loader(images, len(table))))
    with torch.inference_mode(), _backbone(model).stem_done() if cached else nullcontext():
        given = batch.images.to(device)
        out, judged = model.outputs(given), model(given)
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
