"""mlcpl 0.1.7 (PyPI, the nearest library) as methods of ours: its losses and its LogicMix on our features and budget.

    pip install mlcpl
    partlabel bench $PARTLABEL_DATA/coco18/labels.csv --images $PARTLABEL_DATA/coco18 \
      --grid benchmarks/grids/mlcpl.yaml --processes 2 --out runs/bench-mlcpl

Each class below is one of its losses as its signature has it; nothing of it is written again. Its curriculum labelling
cannot be compared on a machine without a GPU, for it moves batches to `cuda` by name.
"""

from typing import Any, ClassVar

import torch
from mlcpl import augs, losses
from torch import Tensor, nn

from partlabel.core.labels import UNKNOWN
from partlabel.core.types import Batch, Progress
from partlabel.methods import Method, Step
from partlabel.nn.heads import Head


class Rival(Method):
    """A loss of mlcpl.

    Args:
        backbone: Images to a feature map.
        head: The feature map to classes.
        loss: Its name in `mlcpl.losses`.
        loss_args: Its options.
        logic_mix: Mix the images of a batch by `mlcpl.augs`.
    """

    default_head: ClassVar[str] = "average"
    adds: ClassVar[str] = "a loss of mlcpl"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        loss: str = "PartialBCEWithLogitLoss",
        loss_args: dict[str, Any] | None = None,
        logic_mix: bool = False,
    ) -> None:
        super().__init__(backbone, head)
        self.loss = getattr(losses, loss)(**loss_args or {})
        self.logic_mix = logic_mix

    def step(self, batch: Batch, progress: Progress) -> Step:
        """`loss`, of labels as mlcpl has them: 1, 0 and NaN."""
        images, target = batch.inputs, batch.labels.float().masked_fill(batch.labels == UNKNOWN, torch.nan)
        if self.logic_mix:
            images, target, _ = augs.logic_mix_with_batch(images, target)
        return Step({"loss": self.cost(self(images).float(), target, progress)})

    def cost(self, logits: Tensor, target: Tensor, progress: Progress) -> Tensor:
        """Compute the cost of a batch."""
        return self.loss(logits, target)


class LargeLoss(Rival):
    """Its large-loss methods, which ask for the epoch."""

    def cost(self, logits: Tensor, target: Tensor, progress: Progress) -> Tensor:
        """Compute the cost of a batch."""
        return self.loss(logits, target, progress.epoch)
