"""EPR: the number of predicted classes per image is regularised towards a known average."""

from typing import ClassVar

from torch import nn

from partlabel.core import distributed
from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._base import Method, Step
from partlabel.methods._expected_positives import ExpectedPositives
from partlabel.nn.heads import Head


class EPR(Method):
    """Expected positive regularisation, EPR (Cole et al., CVPR 2021, arXiv:2106.09708).

    `L = sum BCE(known) / labels + ((mean over images of sum p) - k)^2 / C^2`

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        positives: k, the average number of present classes per image: 1.5 on VOC, 2.9 on COCO, 1.9 on NUS-WIDE, 31.4 on
            CUB. None estimates it from the known labels, which is correct only where labels are missing at random.
    """

    default_head: ClassVar[str] = "average"
    adds: ClassVar[str] = "a penalty on the number of predicted classes per image"

    def __init__(self, backbone: nn.Module, head: Head, positives: float | None = None) -> None:
        super().__init__(backbone, head)
        self.bce = PartialBCE()
        self.expected = ExpectedPositives(head.num_classes, positives)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce` of known labels, and `expected`."""
        logits = self(batch.inputs).float()
        self.expected.see(batch.labels)
        count = distributed.all_reduce_mean(logits.new_full((), float(logits.numel())))
        known = self.bce.total(logits, Targets.known(batch.labels)) / count
        return Step({"bce": known, "expected": self.expected(logits.sigmoid())})

    def end_validation(self) -> None:
        """Warn where the number of present classes cannot be estimated."""
        self.expected.warn_if_none_is_absent()
