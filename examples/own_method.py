"""A method of your own, in a file of your own; partlabel finds it by its dotted path.

    cd examples
    partlabel train labels.csv --images photos --method own_method.WeakNegatives --method.weight 0.1
    partlabel train --method own_method.WeakNegatives --help      # its argument is an option, its docstring the help

How it is made, step by step: docs/adding-a-method.md.
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
    """Weak assume-negative: unknown labels are a little absent (WAN; Cole et al., CVPR 2021, arXiv:2106.09708).

    Args:
        backbone: Images to a feature map.
        head: The feature map to classes.
        weight: How much an unknown label counts, beside 1 for a known one. None: 1 / (classes - 1), the paper's.
    """

    default_head: ClassVar[str] = "average"
    adds: ClassVar[str] = "unknown labels count as absent, a little"

    def __init__(self, backbone: nn.Module, head: Head, weight: float | None = None) -> None:
        super().__init__(backbone, head)
        self.loss = PartialBCE()
        self.weight = 1 / max(head.num_classes - 1, 1) if weight is None else weight

    def step(self, batch: Batch, progress: Progress) -> Step:
        """`bce`, on known labels and weakly on unknown ones."""
        known = Targets.known(batch.labels)
        weakly_absent = Targets(torch.zeros_like(known.value), torch.full_like(known.weight, self.weight))
        return Step({"bce": self.loss(self(batch.inputs), known.fill(weakly_absent))})
