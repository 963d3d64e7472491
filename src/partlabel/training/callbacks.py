"""Lightning callbacks and plugins: averaged weights, synchronised batch normalisation, progress, checkpoints."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, Checkpoint, EMAWeightAveraging
from lightning.pytorch.plugins import LayerSync
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.files import atomic_write
from partlabel.core.progress_bar import Stage
from partlabel.training.lightning_module import COST, MAP, TrainingModule, flat
from partlabel.training.run_folder import Run


class WeightEMA(EMAWeightAveraging):
    """An exponential moving average of the weights; buffers (memories, statistics) are the model's current ones."""

    def __init__(self, decay: float) -> None:
        super().__init__(use_buffers=False, decay=decay)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average; a memory that has grown in this step is copied first."""
        for kept, now in self._buffers(pl_module):
            if kept.shape != now.shape:
                kept.data = now.detach().clone()
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Swap the average in, with the current buffers."""
        self._remember(pl_module)
        super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Swap the average out, and copy the buffers that validation changed."""
        self._remember(pl_module)
        super().on_validation_epoch_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Copy buffers that the method changed at the end of validation, before the checkpoint is written."""
        super().on_train_epoch_end(trainer, pl_module)
        self._remember(pl_module)

    def _remember(self, pl_module: LightningModule) -> None:
        """Copy the buffers of the model to the average."""
        for kept, now in self._buffers(pl_module):
            kept.data = now.detach().clone()

    def _buffers(self, pl_module: LightningModule) -> Iterator[tuple[Tensor, Tensor]]:
        """Iterate over pairs of a buffer of the average and the same buffer of the model."""
        assert self._average_model is not None
        return zip(self._average_model.module.buffers(), pl_module.buffers(), strict=True)


class Moments(LayerSync):
    """Plugin for batch normalisation over the images of all processes."""

    def apply(self, model: nn.Module) -> nn.Module:
        """Switch to statistics of all processes."""
        distributed.share_moments(model)
        return model

    def revert(self, model: nn.Module) -> nn.Module:
        """Switch back to statistics of each process."""
        distributed.own_moments(model)
        return model


class ProgressLines(Callback):
    """Print the progress of training as lines, where there is no terminal for a progress bar.

    Args:
        epochs: Number of epochs of the whole training.
    """

    def __init__(self, epochs: int) -> None:
        self.stage: Stage | None = None
        self.epochs = epochs

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the display, after the epochs already done in a resumed run."""
        self.stage = Stage("Training", self.epochs - trainer.current_epoch, "epochs")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the end of an epoch, with the validation score."""
        if self.stage is not None:
            score = float(trainer.callback_metrics.get(MAP, math.nan))
            self.stage.advance(1, "" if math.isnan(score) else f"validation mAP {100 * score:.1f} %")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the display."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the display after an error or an interruption."""
        self._close()

    def _close(self) -> None:
        if self.stage is not None:
            self.stage.close()
            self.stage = None


class CheckpointWriter(Checkpoint):
    """Write checkpoints of the last and the best epoch and the history, atomically, in the first process.

    The best epoch has the lowest cross-entropy of known validation labels after calibration: a mean AP would be
    dominated by classes with few present labels.

    Args:
        run: Run folder.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.best = math.inf

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the checkpoints; of equal epochs the first is best, and without validation the last."""
        cost = float(trainer.callback_metrics.get(COST, math.nan))
        is_best = COST not in trainer.callback_metrics or cost < self.best or self.best == math.inf
        self.best = cost if is_best and not math.isnan(cost) else self.best
        # The best checkpoint first: a run killed between the two repeats the epoch, with the same result.
        if is_best:
            self._write(trainer, self.run.best)
        self._write(trainer, self.run.last)
        if trainer.is_global_zero and isinstance(pl_module, TrainingModule):
            self.run.write_history(pl_module.history, [flat(epoch) for epoch in pl_module.history])

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Wait until the last checkpoint is written, because all processes read it."""
        trainer.strategy.barrier()

    def _write(self, trainer: Trainer, path: Path) -> None:
        if not trainer.is_global_zero:
            trainer.save_checkpoint(path)  # a collective operation; this process writes nothing
            return
        with atomic_write(path) as aside:
            trainer.save_checkpoint(aside)

    def state_dict(self) -> dict[str, Any]:
        """Return the lowest cost so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the lowest cost so far."""
        self.best = state_dict["best"]
