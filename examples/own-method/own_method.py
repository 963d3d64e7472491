"""A training method of your own, in a file of your own, found by its dotted path or, once installed, by its name.

    cd examples/own-method
    partlabel train labels.csv --images photos --method own_method.WeakNegatives --method.weight 0.1
    pip install .                                     # and then, anywhere
    partlabel train labels.csv --images photos --method own_weak_negatives

`--method own_method.WeakNegatives --help` lists its arguments as options, with its docstring as their help. How it is
made, step by step: docs/adding-a-method.md. `pytest` in this folder runs the contract tests of all methods on it.
"""

from typing import ClassVar

import torch
from torch import nn

from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods import Method, Step
from partlabel.nn.heads import Head


class WeakNegatives(Method):
    """Weak assume-negative, WAN (Cole et al., CVPR 2021, arXiv:2106.09708).

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        weight: Weight of an unknown label, relative to 1 for a known one. None: 1 / (classes - 1), the paper's.
    """

    default_head: ClassVar[str] = "average"
    adds: ClassVar[str] = "unknown labels count as absent, with a small weight"

    def __init__(self, backbone: nn.Module, head: Head, weight: float | None = None) -> None:
        super().__init__(backbone, head)
        self.loss = PartialBCE()
        self.weight = 1 / max(head.num_classes - 1, 1) if weight is None else weight

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce` on known labels and `assumed` on unknown ones, which together are a weighted mean."""
        logits, known = self(batch.inputs), Targets.known(batch.labels)
        weakly_absent = Targets(torch.zeros_like(known.value), self.weight * (known.weight == 0))
        total = known.weight.sum() + weakly_absent.weight.sum()
        parts = {"bce": known, "assumed": weakly_absent}
        return Step({name: self.loss.total(logits, part) / total for name, part in parts.items()})
