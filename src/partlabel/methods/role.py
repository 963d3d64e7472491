"""ROLE: a table of estimated labels and the recogniser supervise each other, both under EPR.

The authors make the table a parameter of Adam at ten times the rate; its moments mix the steps between two visits of a
row, which are an epoch apart. Here the table moves by its own gradient whenever its image is in the batch (`estimate`).
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._base import Method, Step
from partlabel.methods._expected_positives import ExpectedPositives
from partlabel.nn.heads import Head
from partlabel.transfer.label_store import ImageTable


class ROLE(Method):
    """Regularised online label estimation, ROLE (Cole et al., CVPR 2021, arXiv:2106.09708).

    `L = (sum BCE(known) + 1/2 sum CE(q, p) over unknown) / labels + 1/2 EPR(p)`, and likewise of q, the table, with p
    as its target. Known labels are constants of the table; the authors initialise them at 0.995 and fit them.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        positives: Average number of present classes per image: 1.5 on VOC, 2.9 on COCO, 1.9 on NUS-WIDE, 31.4 on CUB.
            None estimates it from the known labels, which is correct only where labels are missing at random.
        rate: Learning rate of the table: a logit moves by `rate (p - q)` whenever its image is in the batch.
    """

    default_head: ClassVar[str] = "average"
    adds: ClassVar[str] = "a table of estimated labels, learned beside the recogniser"
    needs: ClassVar[str] = "labels; keeps a number per label"

    def __init__(
        self, backbone: nn.Module, head: Head, positives: float | None = None, rate: float = 1.0
    ) -> None:
        super().__init__(backbone, head)
        self.bce = PartialBCE()
        self.expected = ExpectedPositives(head.num_classes, positives)
        self.rate = rate
        self.estimates = ImageTable(head.num_classes, 0.0)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce` of known labels, `estimated` of the others, and `expected`."""
        logits = self(batch.inputs).float()
        self.expected.see(batch.labels)
        before = self.estimates.read(batch.index)
        estimated = Targets(before.sigmoid(), (batch.labels == UNKNOWN).float())
        count = distributed.all_reduce_mean(logits.new_full((), float(logits.numel())))
        p = logits.sigmoid()
        terms = {
            "bce": self.bce.total(logits, Targets.known(batch.labels)) / count,
            "estimated": 0.5 * self.bce.total(logits, estimated) / count,
            "expected": 0.5 * self.expected(p),
        }
        self.estimates.write(
            *distributed.all_gather_rows(batch.index, self.estimate(p.detach(), before, batch.labels))
        )
        return Step(terms, {"estimated": estimated})

    @torch.no_grad()
    def estimate(
        self, p: Float[Tensor, "batch class"], logits: Float[Tensor, "batch class"], labels: Labels
    ) -> Float[Tensor, "batch class"]:
        """Move the table's logits one step: `z - rate ((q - p) + 2 (mean_b sum_c q - k) / C q (1 - q))`.

        In brackets is the gradient of `sum CE(p, q) + B C EPR(q)`.
        """
        known = Targets.known(labels)
        q = logits.sigmoid()
        excess = self.expected.excess(torch.where(known.weight > 0, known.value, q))
        gradient = (q - p) + 2 * excess / p.shape[1] * q * (1 - q)
        return logits - self.rate * gradient * (labels == UNKNOWN)

    def end_validation(self) -> None:
        """Warn where the number of present classes cannot be estimated."""
        self.expected.warn_if_none_is_absent()
