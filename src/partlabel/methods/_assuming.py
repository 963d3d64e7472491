"""What methods share that assume something of unknown labels: two terms, of known labels and of assumed ones."""

import math
from abc import abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from partlabel.core import distributed
from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Labels, Targets
from partlabel.core.types import Batch, Progress
from partlabel.losses._base import Loss
from partlabel.methods._base import Method, Step
from partlabel.nn.heads import Head


class Assuming(Method):
    """`L = (sum of costs of known labels + sum of costs of assumed ones) / number of both`, each sum a term.

    Both are divided by how many labels are spoken of in the batch, however little these count: a mean over all labels
    where something is assumed of each unknown one.

    Args:
        backbone: Images to a feature map.
        head: The feature map to classes.
        loss: What labels cost.
        assumed_loss: What assumed ones cost, if something else.
    """

    default_head: ClassVar[str] = "average"

    def __init__(self, backbone: nn.Module, head: Head, loss: Loss, assumed_loss: Loss | None = None) -> None:
        super().__init__(backbone, head)
        self.loss = loss
        self.assumed_loss = loss if assumed_loss is None else assumed_loss

    @abstractmethod
    def assumed(self, logits: Float[Tensor, "batch class"], batch: Batch, progress: Progress) -> Targets:
        """What is taken for true of unknown labels; what it says of known ones is not heard. Logits are detached."""

    def known(self, labels: Labels) -> Targets:
        """What is fitted of known labels."""
        return Targets.known(labels)

    def pseudo_labels(self, assumed: Targets) -> dict[str, Targets]:
        """What of the assumed is to be logged as pseudo-labels."""
        return {}

    def step(self, batch: Batch, progress: Progress) -> Step:
        """`bce` of known and `assumed` of unknown labels."""
        logits = self(batch.images)
        known = self.known(batch.labels)
        value, weight = self.assumed(logits.detach().float(), batch, progress)
        assumed = Targets(value, weight * (batch.labels == UNKNOWN))
        count = distributed.all_reduce_mean(((known.weight > 0) | (assumed.weight > 0)).float().sum()).clamp(
            min=1e-8
        )
        terms = {
            "bce": self.loss.total(logits, known) / count,
            "assumed": self.assumed_loss.total(logits, assumed) / count,
        }
        return Step(terms, self.pseudo_labels(assumed))


class AssumingFixed(Assuming):
    """Assumes the same of every unknown label, whatever the model predicts."""

    @abstractmethod
    def assume(self, labels: Labels) -> Targets:
        """What is assumed of every label; only what it says of unknown ones is used."""

    def assumed(self, logits: Float[Tensor, "batch class"], batch: Batch, progress: Progress) -> Targets:
        """The same at every step."""
        return self.assume(batch.labels)

    def fixed_targets(self, labels: Labels) -> Targets:
        """Known labels, and what is assumed of the others."""
        return self.known(labels).fill(self.assume(labels))


class Correcting(Assuming):
    """Takes unknown labels for absent, and some of them for present, which are logged as `corrected`."""

    def pseudo_labels(self, assumed: Targets) -> dict[str, Targets]:
        """The labels taken for present."""
        return {"corrected": Targets.present((assumed.value >= 0.5) & (assumed.weight > 0))}


def absent(like: Float[Tensor, "batch class"] | Labels, weight: float = 1.0) -> Targets:
    """Every label absent, as so much of a label."""
    value = torch.zeros_like(like, dtype=torch.float32)
    return Targets(value, torch.full_like(value, weight))


@torch.no_grad()
def largest(
    score: Float[Tensor, "batch class"], among: Bool[Tensor, "batch class"], per_image: float
) -> Bool[Tensor, "batch class"]:
    """The so many labels of largest score among some of the batch, over all processes.

    Args:
        score: Of every label.
        among: Which may be taken.
        per_image: How many are, times the images of the whole batch, rounded up; or all there are, if fewer.
    """
    owner = torch.full((len(score),), distributed.rank_and_world_size()[0], device=score.device)
    whole, owner = distributed.all_gather_rows(score.detach().float().masked_fill(~among, -math.inf), owner)
    wanted = math.ceil(round(per_image * len(whole), 6))
    taken = whole.flatten().topk(min(wanted, int((whole > -math.inf).sum()))).indices
    return (
        torch.zeros_like(whole, dtype=torch.bool)
        .flatten()
        .index_fill(0, taken, True)
        .view_as(whole)[owner == distributed.rank_and_world_size()[0]]
    )
