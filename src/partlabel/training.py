"""Training: the one LightningModule. It sums and logs the named terms of any method and knows no method by name.

What happens in a step hangs on the run's seed and the step's number alone: Lightning restores no random state, so
chance is seeded anew before every batch (measured: seeding per epoch is not enough). With an order of images that hangs
on the epoch (`data/module.py`) and checkpoints at the ends of epochs, a run that was killed ends with the weights,
buffers and averages of one that was not, bit for bit on a CPU.
"""

import inspect
import logging
import math
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int8
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint, EMAWeightAveraging, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins import LayerSync
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from partlabel import metrics, ranks
from partlabel.config import TrainingConfig
from partlabel.data.aside import written_aside
from partlabel.data.images import draw_seed
from partlabel.methods import Batch, Method, Progress
from partlabel.optimisation import optimizer, schedule
from partlabel.progress import on_terminal
from partlabel.run import Run
from partlabel.sharding import Sharded, own, whole
from partlabel.stopping import stopped_plainly
from partlabel.text import some

MAP = "val/mAP"


class Learner(LightningModule):
    """Trains a method.

    Args:
        method: What is trained.
        config: How.
        classes: Names of the columns.
        images: The training images' names, in the order of `Batch.index`.
        truth: Their true labels, to measure pseudo-labels by, UNKNOWN where nobody knows.
        cached: Whether batches hold outputs of the backbone's stem.

    Attributes:
        history: Of each epoch its number, the mean `terms`, the `pseudo_labels` by source, `val_map`, `lr`.
    """

    def __init__(
        self,
        method: Method,
        config: TrainingConfig,
        classes: Sequence[str],
        images: Sequence[str],
        truth: Int8[np.ndarray, "image class"] | None = None,
        cached: bool = False,
    ) -> None:
        super().__init__()
        self.method = method
        self.config = config
        self.classes = tuple(classes)
        self.images = tuple(images)
        self.truth = None if truth is None else torch.from_numpy(np.array(truth))
        self.cached = cached
        self.quality = metrics.PseudoLabelQuality()
        self.history: list[dict[str, Any]] = []
        self._seen: list[Batch] = []
        self._sums: dict[str, Any] = defaultdict(float)

    def forward(self, images: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch class"]:
        """Logits of images, or of what the cache has of them."""
        with self.method.backbone.stem_done() if self.cached else nullcontext():  # type: ignore[operator]
            return self.method(images)

    def progress(self, batch: int) -> Progress:
        """The time, before a batch of this epoch."""
        batches = int(self.trainer.num_training_batches)
        step = self.current_epoch * batches + batch
        return Progress(self.current_epoch, step, batch, batches, self.config.epochs, self.config.seed)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed all chance in the step, dropout and the like, by what the checkpoint knows."""
        torch.manual_seed(draw_seed(self.config.seed, self.progress(batch_idx).step, self.global_rank))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The sum of the method's terms."""
        progress = self.progress(batch_idx)
        with self.method.backbone.stem_done() if self.cached else nullcontext():  # type: ignore[operator]
            terms, pseudo_labels = self.method.step(batch, progress)
        values = torch.stack([term.float() for term in terms.values()])
        means = ranks.average(values.detach())
        self._check_finite(dict(zip(terms, means, strict=True)), batch, progress)
        for name, mean in zip(terms, means, strict=True):
            self._sums[name] += mean
        self._sums["loss"] += means.sum()
        truth = None if self.truth is None else self.truth[batch.index.cpu()].to(batch.labels.device)
        self.quality.update(pseudo_labels, batch.labels, truth)
        self.log("loss", means.sum(), prog_bar=True, logger=False)
        return values.sum()

    def _check_finite(self, terms: dict[str, Tensor], batch: Batch, progress: Progress) -> None:
        wrong = {name: float(term) for name, term in terms.items() if not torch.isfinite(term)}
        if wrong:
            (index,) = ranks.gather(batch.index)
            images = some((self.images[row] for row in index.tolist()), most=8)
            raise FloatingPointError(
                f"the loss is not finite at step {progress.step} (epoch {progress.epoch + 1}, batch {progress.batch}): "
                f"{', '.join(f'{name} = {value}' for name, value in wrong.items())}; images: {images}; "
                "try a lower --lr, --clip 1 or --precision 32-true"
            )

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Before validation, agree on what batch normalisation saw, where each process saw its own share."""
        if not self.config.sync_batchnorm and batch_idx + 1 == self.trainer.num_training_batches:
            ranks.average_moments(self.method)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Keep the logits."""
        with self.method.backbone.stem_done() if self.cached else nullcontext():  # type: ignore[operator]
            logits = self.method.validate(batch)
        self._seen.append(Batch(logits.float().cpu(), batch.labels.cpu(), batch.index.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Score them over the known labels."""
        anew = self.method.end_validation()
        logits, labels = ranks.gather(
            torch.cat([b.images for b in self._seen]), torch.cat([b.labels for b in self._seen])
        )
        self._seen.clear()
        if anew is not None:
            logits = anew.float().cpu()
        if len(logits) != len(labels):
            raise RuntimeError(
                f"{type(self.method).__name__}.end_validation gave logits of {len(logits)} images where all processes "
                f"saw {len(labels)}: it has to gather what it kept, by partlabel.ranks.gather"
            )
        evaluation = metrics.evaluate(logits.numpy(), labels.numpy(), self.classes)
        for name in ("mAP", "mAP interpolated", "OF1", "CF1"):
            self.log(f"val/{name}", evaluation.numbers[name], prog_bar=name == "mAP", logger=False)

    def on_train_epoch_end(self) -> None:
        """Write the epoch down, once all processes are seen to remember the same."""
        if astray := ranks.differing(dict(self.method.named_buffers())):
            raise RuntimeError(
                f"the processes no longer remember the same: {some(astray)}; {type(self.method).__name__} has to "
                "gather what it remembers, by partlabel.ranks.gather, or be trained by one process"
            )
        self.quality.add_up(ranks.total)
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
        """Keep the history with the weights."""
        checkpoint["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history up."""
        self.history = list(checkpoint["history"])

    def setup(self, stage: str) -> None:
        """Divide the parameters among the optimiser's groups while they have their shapes: shards have none."""
        self._optimizer = optimizer(self.method, self.config)

    def configure_optimizers(self) -> Any:
        """The optimiser, and the learning rate's schedule by step."""
        made = self._optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        return {
            "optimizer": made,
            "lr_scheduler": {"scheduler": schedule(made, self.config, steps), "interval": "step"},
        }


def flat(epoch: dict[str, Any]) -> dict[str, float | int]:
    """The numbers of an epoch of the history under names such as `terms/bce`, those that are none left out."""
    numbers: dict[str, float | int] = {}
    for name, value in epoch.items():
        if isinstance(value, dict):
            numbers |= {f"{name}/{inner}": number for inner, number in flat(value).items()}
        elif value is not None:
            numbers[name] = value
    return numbers


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


class Average(EMAWeightAveraging):
    """An exponential moving average of the weights; buffers (memories, statistics) are the model's, those of now."""

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=False, decay=decay)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Follow the weights; a memory that has grown in the step grows here first."""
        for kept, now in self._buffers(pl_module):
            if kept.shape != now.shape:
                kept.data = now.detach().clone()
        with whole(trainer.strategy.model):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the average in, with what was remembered after the last batch's callbacks."""
        self._remember(pl_module)
        with whole(trainer.strategy.model):
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take it out."""
        self._remember(pl_module)
        with whole(trainer.strategy.model):
            super().on_validation_epoch_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take what the method found at the end of validation, when the average was out already; then it is kept."""
        super().on_train_epoch_end(trainer, pl_module)
        self._remember(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave it in."""
        with whole(trainer.strategy.model):
            super().on_train_end(trainer, pl_module)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Take up the average, and beside it the weights."""
        with whole(trainer.strategy.model):
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def _remember(self, pl_module: LightningModule) -> None:
        """Give the average the buffers of the model."""
        for kept, now in self._buffers(pl_module):
            kept.data = now.detach().clone()

    def _buffers(self, pl_module: LightningModule) -> Iterator[tuple[Tensor, Tensor]]:
        """Each buffer of the average, and that of the model."""
        assert self._average_model is not None
        return zip(self._average_model.module.buffers(), pl_module.buffers(), strict=True)


class Moments(LayerSync):
    """Batch normalisation over the images of all processes."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Begin."""
        ranks.share_moments(model)
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """End."""
        ranks.own_moments(model)
        return model


class Keep(Checkpoint):
    """Keeps the last epoch, the best one and the history, each replaced as a whole, by the first process alone.

    Args:
        run: Where.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.best = -math.inf

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write them; of equal epochs the first is best, and without validation the last."""
        score = float(trainer.callback_metrics.get(MAP, math.nan))
        is_best = MAP not in trainer.callback_metrics or score > self.best or self.best == -math.inf
        self.best = score if is_best and not math.isnan(score) else self.best
        # The best first: a run killed in between repeats the epoch, and comes to the same.
        if is_best:
            self._write(trainer, self.run.best)
        self._write(trainer, self.run.last)
        if trainer.is_global_zero and isinstance(pl_module, Learner):
            self.run.write_history(pl_module.history, [flat(epoch) for epoch in pl_module.history])

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait until the last of it is in place, for all processes read it."""
        trainer.strategy.barrier()

    def _write(self, trainer: Trainer, path: Path) -> None:
        if not trainer.is_global_zero:
            trainer.save_checkpoint(path)  # which takes part in, but writes nothing
            return
        try:
            with written_aside(path) as aside:
                trainer.save_checkpoint(aside)
        except OSError as error:
            raise OSError(f"cannot write {path}: {error.strerror or error}") from error

    def state_dict(self) -> dict[str, Any]:
        """The best score."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up."""
        self.best = state_dict["best"]


def weights(checkpoint: Path) -> dict[str, Tensor]:
    """The method's state in a checkpoint, averaged if the run averages."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    return {
        name.removeprefix("method."): value for name, value in state.items() if name.startswith("method.")
    }


def fit(
    learner: Learner,
    train: DataLoader[Batch],
    val: DataLoader[Batch] | None,
    run: Run,
    resume: Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Train to the end, and leave the best epoch's weights in the method.

    Args:
        learner: What is trained.
        train: Training batches, from `data/module.py`.
        val: Batches that choose the epoch; None takes the last.
        run: Takes checkpoints, history and events for TensorBoard.
        resume: The checkpoint to go on from.
        callbacks: Lightning's, besides those needed.

    Raises:
        FloatingPointError: A loss is not finite; the message names step, term and images.
        OSError: An image vanished, a file cannot be written, a process that reads images died, or another of those
            that train together.
        KeyboardInterrupt: By Ctrl-C, or by SIGTERM. As with the other errors, the message says where training stopped
            and how to go on, and the last whole epoch is kept.
    """
    config = learner.config
    if resume is not None:
        # Lightning (2.6.6) lets workers fetch the first batches of a resumed run before it tells the epoch.
        done = len(torch.load(resume, map_location="cpu", weights_only=True)["history"])
        train.sampler.set_epoch(done)  # type: ignore[attr-defined]
    bars: list[Callback] = [RichProgressBar(leave=True)] if on_terminal() else []
    averages: list[Callback] = [Average(config.ema)] if config.ema else []
    with _quiet(), torch.random.fork_rng():
        trainer = Trainer(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.num_nodes,
            strategy=_strategy(config),
            plugins=_plugins(config),
            precision=config.precision,  # type: ignore[arg-type]
            max_epochs=config.epochs,
            accumulate_grad_batches=config.accumulate,
            gradient_clip_val=config.clip or None,
            callbacks=[*callbacks, *averages, Keep(run), *bars],
            logger=TensorBoardLogger(run.folder, name="tensorboard", version=""),
            enable_progress_bar=bool(bars),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            use_distributed_sampler=False,  # `Batches` shares itself out
        )
        with stopped_plainly(trainer, run):
            trainer.fit(learner, train, val, ckpt_path=resume, weights_only=True)
            if trainer.is_global_zero:  # one killed after its last checkpoint had not written it
                run.write_history(learner.history, [flat(epoch) for epoch in learner.history])
    state = weights(run.best)
    if isinstance(trainer.strategy, Sharded):
        own(learner.method, state)
    learner.method.load_state_dict(state)
    learner.method.cpu().eval()


def _strategy(config: TrainingConfig) -> str | Strategy:
    """Lightning's; buffers need not be sent round at every step, as all processes keep them equal."""
    if config.strategy == "fsdp" and not config.several:
        return "auto"  # nobody to share with
    if config.strategy in ("fsdp", "fsdp_cpu_offload"):
        return Sharded(config.precision, cpu_offload=config.strategy == "fsdp_cpu_offload")
    several = config.num_nodes > 1 or (isinstance(config.devices, int) and config.devices > 1)
    if not several or config.strategy not in ("auto", "ddp"):
        return config.strategy
    options = inspect.signature(DistributedDataParallel).parameters
    sent = (
        "forward_sync_buffers" if "forward_sync_buffers" in options else "broadcast_buffers"
    )  # until torch 2.13
    return DDPStrategy(**{sent: False})  # type: ignore[arg-type]


def _plugins(config: TrainingConfig) -> list[Any]:
    """Shared batch normalisation; and no requeueing by Lightning, whose checkpoint lies in the middle of an epoch."""
    shared: list[Any] = [Moments()] if config.sync_batchnorm else []
    return [*shared, SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else shared


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's greetings and hints."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for hint in (
            "does not have many workers",
            "Found .* in eval mode at the start",
            "You defined a `validation_step` but",
            "Checkpoint directory .* exists",
            "isinstance.treespec, LeafSpec",
            "Trying to infer the `batch_size`",
            "GPU available but not used",
            "The number of training batches",
            "Detected call of `lr_scheduler.step",
            "You are using `torch.load` with `weights_only",
            "It is recommended to use `self.log",  # what is logged is the same in all processes
        ):
            warnings.filterwarnings("ignore", f".*{hint}")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
