"""Training: a method, batches and a run folder in; the best epoch's weights out.

Random numbers depend on the number of the step (`lightning_module.py`), the order of images on the epoch
(`data/images/loader.py`), and checkpoints are written at the ends of epochs. Therefore a run that was killed and
resumed ends with the same weights, buffers and averages as an uninterrupted one, bit for bit on a CPU.
"""

import inspect
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from partlabel.core.progress_bar import on_terminal
from partlabel.core.quiet_logs import quiet_logs
from partlabel.core.types import Batch
from partlabel.training.callbacks import CheckpointWriter, Moments, ProgressLines, WeightEMA
from partlabel.training.config import TrainingConfig
from partlabel.training.interruption import explain_interruptions
from partlabel.training.lightning_module import TrainingModule, flat
from partlabel.training.run_folder import Run


def weights(checkpoint: Path) -> dict[str, Tensor]:
    """Read the method's state from a checkpoint, averaged if the run averages."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    return {
        name.removeprefix("method."): value for name, value in state.items() if name.startswith("method.")
    }


def fit(
    learner: TrainingModule,
    train: DataLoader[Batch],
    val: DataLoader[Batch] | None,
    run: Run,
    resume: Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Train to the last epoch, and load the best epoch's weights into the method.

    Args:
        learner: Module to train.
        train: Training batches, from `data/images/loader.py`.
        val: Batches of the validation set, which chooses the best epoch; None keeps the last epoch.
        run: Run folder for checkpoints, history and TensorBoard events.
        resume: Checkpoint to resume from; None starts at the first epoch.
        callbacks: Additional Lightning callbacks.

    Raises:
        FloatingPointError: A loss is not finite; the message names step, term and images.
        OSError: An image vanished, a file cannot be written, or a process that reads images or trains died.
        KeyboardInterrupt: Ctrl-C or SIGTERM. As with the other errors, the message says where training stopped and
            how to resume, and the last completed epoch is kept.
    """
    config = learner.config
    if resume is not None:
        # Lightning (2.6.6) lets workers fetch the first batches of a resumed run before it sets the epoch.
        done = len(torch.load(resume, map_location="cpu", weights_only=True)["history"])
        train.sampler.set_epoch(done)  # type: ignore[attr-defined]
    bars: list[Callback] = [RichProgressBar(leave=True)] if on_terminal() else []
    lines: list[Callback] = [] if bars else [ProgressLines(config.epochs)]
    averages: list[Callback] = [WeightEMA(config.ema)] if config.ema else []
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
            callbacks=[*callbacks, *averages, CheckpointWriter(run), *bars, *lines],
            logger=TensorBoardLogger(run.folder, name="tensorboard", version=""),
            enable_progress_bar=bool(bars),
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            use_distributed_sampler=False,  # `Batches` is distributed itself
        )
        with explain_interruptions(trainer, run):
            trainer.fit(learner, train, val, ckpt_path=resume, weights_only=True)
            if trainer.is_global_zero:  # a run killed after its last checkpoint has not written the history
                run.write_history(learner.history, [flat(epoch) for epoch in learner.history])
    learner.method.load_state_dict(weights(run.best))
    learner.method.cpu().eval()


def _strategy(config: TrainingConfig) -> str | Strategy:
    """Return the strategy; it does not broadcast buffers at every step, because all processes keep them equal."""
    several = config.num_nodes > 1 or (isinstance(config.devices, int) and config.devices > 1)
    if not several or config.strategy not in ("auto", "ddp"):
        return config.strategy
    options = inspect.signature(DistributedDataParallel).parameters
    sent = (
        "forward_sync_buffers" if "forward_sync_buffers" in options else "broadcast_buffers"
    )  # until torch 2.13
    return DDPStrategy(**{sent: False})  # type: ignore[arg-type]


def _plugins(config: TrainingConfig) -> list[Any]:
    """Return synchronised batch normalisation, and SLURM without requeueing, which would checkpoint within an epoch."""
    shared: list[Any] = [Moments()] if config.sync_batchnorm else []
    return [*shared, SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else shared


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's start messages and hints."""
    with quiet_logs("lightning.pytorch", "lightning.fabric"), warnings.catch_warnings():
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
            "It is recommended to use `self.log",  # logged values are the same in all processes
        ):
            warnings.filterwarnings("ignore", f".*{hint}")
        yield
