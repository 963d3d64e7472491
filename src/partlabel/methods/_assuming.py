"""Base of methods that assume a label for unknown cells: one loss term for known labels, one for assumed ones."""

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

    Both are divided by the number of labels with a known or assumed value in the batch, whatever their weights: a mean
    over all labels where every unknown one has an assumed value.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        loss: Loss of known labels.
        assumed_loss: Loss of assumed labels; by default the same.
    """

    default_head: ClassVar[str] = "average"

    def __init__(self, backbone: nn.Module, head: Head, loss: Loss, assumed_loss: Loss | None = None) -> None:
        super().__init__(backbone, head)
        self.loss = loss
        self.assumed_loss = loss if assumed_loss is None else assumed_loss

    @abstractmethod
    def assumed(self, logits: Float[Tensor, "batch class"], batch: Batch, progress: Progress) -> Targets:
        """Compute targets of unknown labels; entries of known labels are ignored. Logits are detached."""

    def known(self, labels: Labels) -> Targets:
        """Compute targets of known labels."""
        return Targets.known(labels)

    def pseudo_labels(self, assumed: Targets) -> dict[str, Targets]:
        """Select the assumed labels that are logged as pseudo-labels."""
        return {}

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce` of known and `assumed` of unknown labels."""
        logits = self(batch.inputs)
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
    """Assume the same for every unknown label, independent of the model's predictions."""

    @abstractmethod
    def assume(self, labels: Labels) -> Targets:
        """Compute assumed targets of all labels; entries of known labels are ignored."""

    def assumed(self, logits: Float[Tensor, "batch class"], batch: Batch, progress: Progress) -> Targets:
        """Return the same targets at every step."""
        return self.assume(batch.labels)

    def fixed_targets(self, labels: Labels) -> Targets:
        """Combine known labels with assumed ones."""
        return self.known(labels).fill(self.assume(labels))


class Correcting(Assuming):
    """Assume unknown labels absent and some of them present; the latter are logged as `corrected`."""

    def pseudo_labels(self, assumed: Targets) -> dict[str, Targets]:
        """Select the labels that are assumed present."""
        return {"corrected": Targets.present((assumed.value >= 0.5) & (assumed.weight > 0))}


def absent(like: Float[Tensor, "batch class"] | Labels, weight: float = 1.0) -> Targets:
    """Build targets with every label absent, with a given weight."""
    value = torch.zeros_like(like, dtype=torch.float32)
    return Targets(value, torch.full_like(value, weight))


@torch.no_grad()
def largest(
    score: Float[Tensor, "batch class"], among: Bool[Tensor, "batch class"], per_image: float
) -> Bool[Tensor, "batch class"]:
    """Select the labels with the largest scores among some labels of the batch, over all processes.

    Args:
        score: Score of every label.
        among: Labels that may be selected.
        per_image: Number selected per image of the whole batch, rounded up in total; all candidates, if there are
            fewer.
    """
    (whole,) = distributed.all_gather_rows(score.detach().float().masked_fill(~among, -math.inf))
    wanted = math.ceil(round(per_image * len(whole), 6))
    taken = whole.flatten().topk(min(wanted, whole.numel())).indices
    selected = torch.zeros_like(whole, dtype=torch.bool).flatten().index_fill(0, taken, True).view_as(whole)
    return (selected & (whole > -math.inf))[distributed.local_rows(score)]
