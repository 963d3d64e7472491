"""PU-MLC: learns from present labels and from all images as unlabelled; absent labels are discarded.

Yuan, Zhang and Huang, "Positive Label Is All You Need for Multi-Label Classification", arXiv:2306.16016. The equations
are those of the authors' code (github.com/TAKELAMAG/PU-MLC), which was read; the paper was not. The risk is that of
variational learning from positive and unlabelled examples (VPU, Chen et al., NeurIPS 2020). Departures:
`docs/methods/losses.md`.
"""

import math
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from partlabel.core import distributed
from partlabel.core.labels import ABSENT, PRESENT
from partlabel.core.targets import Labels
from partlabel.core.types import Batch, Progress
from partlabel.methods._base import Method, Step
from partlabel.nn.heads import Head
from partlabel.transfer import image_mixing

LEAST_TEMPERATURE = 0.1
"""Of a class whose logits do not vary in the batch: the heads start so."""
LEAST_TARGET = 1e-10
"""Least target of a mixture, so that its logarithm is finite."""


class PUMLC(Method):
    """Positive and unlabelled multi-label classification (Yuan et al., 2023, arXiv:2306.16016).

    `L = mean_c (w_c log mean_b phi_bc - mean_(b present) log phi_bc) + mix L_mix`, `phi = s(logit / T_c)`,
    `w_c = (mean_b phi_bc)^gamma`, `T_c = min(alpha std_b logit_bc, 1)`, w and T without gradient.

    Args:
        backbone: Network from images to a feature map.
        head: Network from the feature map to classes.
        gamma: Exponent of the factor that balances present labels and unlabelled images (paper: 0.55 for COCO and 0.85
            for VOC, at 10 % known).
        alpha: Factor of the temperature (paper: 1 for COCO, 2 for VOC).
        mix: Weight of the consistency of mixed images; 0 leaves it out.
        mix_alpha: Parameter of the beta distribution that shares of mixed images are drawn from.
        absent_weight: Weight of the binary cross-entropy of known absent labels; 0, the paper's, discards them.
    """

    default_head: ClassVar[str] = "average"
    adds: ClassVar[str] = "all images as unlabelled; known absent labels are discarded"
    needs: ClassVar[str] = "present labels"

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        gamma: float = 0.55,
        alpha: float = 1.0,
        mix: float = 1.0,
        mix_alpha: float = 0.3,
        absent_weight: float = 0.0,
    ) -> None:
        super().__init__(backbone, head)
        if mix_alpha <= 0:
            raise ValueError(f"mix_alpha is {mix_alpha}; the parameter of a beta distribution is above 0")
        self.gamma = gamma
        self.alpha = alpha
        self.mix = mix
        self.mix_alpha = mix_alpha
        self.absent_weight = absent_weight

    def step(self, batch: Batch, progress: Progress) -> Step:
        """Compute `bce` of present labels, `unlabelled` of all images, and `mixed`, the consistency of mixtures."""
        inputs = batch.inputs
        if self.mix > 0:
            share, partner = self.drawn(batch.labels, progress)
            inputs = torch.cat([inputs, image_mixing.mix(inputs, partner, share)])
        logits = self(inputs).float()
        plain, mixed = logits[: len(batch.labels)], logits[len(batch.labels) :]
        every, labels = distributed.all_gather_rows(plain, batch.labels)
        terms = self.risk(every, labels)
        if self.mix > 0:
            target = mixed_targets(every, labels, partner, share)[distributed.local_rows(plain)]
            count = distributed.all_reduce_mean(mixed.new_full((), float(mixed.numel())))
            terms["mixed"] = self.mix * (target - logsigmoid(mixed)).square().sum() / count
        return Step(terms)

    def risk(self, logits: Float[Tensor, "all class"], labels: Labels) -> dict[str, Float[Tensor, ""]]:
        """Compute `bce` and `unlabelled`, means over the classes."""
        log_phi = logsigmoid(logits / self.temperature(logits))
        log_mean = log_phi.logsumexp(0) - math.log(len(logits))
        balance = (self.gamma * log_mean.detach()).exp()
        known = mean_of(-log_phi, labels == PRESENT)
        if self.absent_weight > 0:
            known = known + self.absent_weight * mean_of(-logsigmoid(-logits), labels == ABSENT)
        return {"bce": known.mean(), "unlabelled": (balance * log_mean).mean()}

    def temperature(self, logits: Float[Tensor, "all class"]) -> Float[Tensor, " class"]:
        """Compute the temperature of every class from the spread of its logits in the batch."""
        spread = logits.detach().std(0, correction=0)
        return (self.alpha * spread).clamp(LEAST_TEMPERATURE, 1)

    def drawn(self, labels: Labels, progress: Progress) -> tuple[Tensor, Tensor]:
        """Draw one pair of shares for the batch, and the partner of each image of the batch of all processes."""
        (whole,) = distributed.all_gather_rows(labels)
        kept = np.random.default_rng([progress.seed, progress.step]).beta(self.mix_alpha, self.mix_alpha)
        first = torch.full((len(whole),), float(kept), device=labels.device)
        partner = image_mixing.partners(len(whole), 2, progress.generator(labels.device))
        return torch.stack([first, 1 - first]), partner


def mean_of(cost: Float[Tensor, "all class"], where: Tensor) -> Float[Tensor, " class"]:
    """Average the costs of each class at `where`; 0 for a class without any."""
    return (cost * where).sum(0) / where.sum(0).clamp(min=1)


def mixed_targets(
    logits: Float[Tensor, "all class"],
    labels: Labels,
    partner: Tensor,
    share: Float[Tensor, "mixed all"],
) -> Float[Tensor, "all class"]:
    """Compute the logarithm of the mean probability of mixed images, where a present label counts as 1."""
    value = torch.where(labels == PRESENT, 1.0, logits.sigmoid())
    return (value[partner] * share[..., None]).sum(0).clamp(min=LEAST_TARGET).log()
