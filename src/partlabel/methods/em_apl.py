"""EM + APL: entropy of unknown labels is maximised, until the lowest-scored ones become soft absent pseudo-labels.

Zhou et al., "Acknowledging the Unknown for Multi-Label Learning with Single Positive Labels", ECCV 2022. Their code
scores all training images in a separate pass after each epoch; here the scores are those computed in training, so that
no image is computed twice. Their negative numbers among the labels are a table of its own here.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from partlabel.core import distributed
from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses.partial_bce import PartialBCE
from partlabel.methods._base import Method, Step
from partlabel.nn.heads import Head
from partlabel.transfer.label_store import ImageTable

NONE = -1.0
"""Marks a cell of a table of probabilities without a value."""


class EMAPL(Method):
    """Entropy maximisation and asymmetric pseudo-labels, EM + APL (Zhou et al., ECCV 2022, arXiv:2203.16219).

    `L = (sum BCE(known) - entropy_weight sum H(p) over unknown + absent_weight sum BCE(soft absent)) / labels`. At the
    start of each of the E epochs after `start`, the `share / E` unknown labels of every class with the lowest scores
    get their score as target.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        entropy_weight: Alpha of the paper: 0.2 on VOC, 0.1 on COCO and NUS-WIDE, 0.01 on CUB.
        absent_weight: Beta of the paper: 0.02 on VOC, 0.9 on COCO, 0.2 on NUS-WIDE, 0.4 on CUB.
        share: Share of the unknown labels that have a pseudo-label at the end.
        start: Share of the run after which pseudo-labels begin; 1 never, which is EM.
    """

    default_head: ClassVar[str] = "average"
    adds: ClassVar[str] = "unknown labels kept undecided; the lowest-scored ones as soft absent pseudo-labels"
    needs: ClassVar[str] = "labels; keeps two numbers per label"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        entropy_weight: float = 0.1,
        absent_weight: float = 0.9,
        share: float = 0.9,
        start: float = 0.5,
    ) -> None:
        super().__init__(backbone, head)
        self.bce = PartialBCE()
        self.entropy_weight = entropy_weight
        self.absent_weight = absent_weight
        self.share = share
        self.start = start
        self.scores = ImageTable(head.num_classes, NONE)
        self.absent = ImageTable(head.num_classes, NONE)

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce` of known labels, the negative `entropy` of undecided ones, and `absent` of pseudo-labels."""
        begins = round(self.start * progress.epochs)
        if progress.batch == 0 and begins <= progress.epoch:
            self.select(self.share / max(progress.epochs - begins, 1))
        logits, unknown = self(batch.inputs).float(), batch.labels == UNKNOWN
        seen = logits.detach().sigmoid().masked_fill(~unknown, NONE)
        self.scores.write(*distributed.all_gather_rows(batch.index, seen))
        soft = self.absent.read(batch.index)
        taken = unknown & (soft != NONE)
        absent = Targets(soft.clamp(min=0), taken.float())
        count = distributed.all_reduce_mean(logits.new_full((), float(logits.numel())))
        terms = {
            "bce": self.bce.total(logits, Targets.known(batch.labels)) / count,
            "entropy": -self.entropy_weight * (entropy(logits) * (unknown & ~taken)).sum() / count,
            "absent": self.absent_weight * self.bce.total(logits, absent) / count,
        }
        return Step(terms, {"absent": absent})

    @torch.no_grad()
    def select(self, share: float) -> None:
        """Give a share of the unknown labels of every class, the lowest without one yet, a pseudo-label."""
        scores = self.scores.cells
        if len(scores) == 0:
            return
        rows = torch.arange(len(scores), device=scores.device)
        absent = self.absent.read(rows)
        unknown = scores != NONE
        wanted = (share * unknown.sum(0) + 1e-6).floor()
        order = scores.masked_fill(~unknown | (absent != NONE), torch.inf).argsort(dim=0, stable=True)
        place = torch.empty_like(order).scatter_(0, order, rows[:, None].expand_as(order))
        chosen = (place < wanted) & unknown & (absent == NONE)
        self.absent.write(rows, torch.where(chosen, scores, absent))


def entropy(logits: Float[Tensor, "batch class"]) -> Float[Tensor, "batch class"]:
    """Compute `-p log p - (1 - p) log(1 - p)`."""
    p = logits.sigmoid()
    return p * softplus(-logits) + (1 - p) * softplus(logits)
