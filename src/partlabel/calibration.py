"""How sure logits may be: a slope and offsets, found on known labels that were not learned from (Platt scaling).

Platt, "Probabilistic Outputs for Support Vector Machines", 1999; one slope for all classes, as the temperature of Guo
et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from partlabel.codes import PRESENT, UNKNOWN
from partlabel.exact import exact
from partlabel.labels import Labels

LEAST = 0.1
"""The slope, at least: logits that say the opposite of what is so are made weak, not turned round."""


class Calibration(NamedTuple):
    """How sure logits may be.

    Attributes:
        cost: Cross-entropy of the known labels, summed.
        slope: Of the logits about each class's anchor.
        offset: What each class is to be raised by.
    """

    cost: float
    slope: Float[Tensor, ""]
    offset: Float[Tensor, " class"]


def calibrate(
    logits: Float[Tensor, "image class"], anchor: Float[Tensor, " class"], labels: Labels
) -> Calibration:
    """The common slope, of `LEAST` or more, and the offset of each class at which known labels' cross-entropy is least.

    A vote repeats some of what the head says, and their sum is too sure of itself: without the slope what ranks better
    would look worse. One slope for all, and offsets that a few labels do not move: a class has twenty known ones.
    """
    kind = exact(logits.device)
    at, start = logits.to(kind), anchor.to(kind)
    known, truth = (labels != UNKNOWN).to(kind), (labels == PRESENT).to(kind)
    slope, offset = at.new_ones(()).requires_grad_(), torch.zeros_like(start).requires_grad_()

    def cost() -> Tensor:
        odds = start + offset + slope * (at - start)
        return binary_cross_entropy_with_logits(odds, truth, known, reduction="sum")

    def penalised() -> Tensor:
        return cost() + (slope - 1).square() + offset.square().sum()

    _minimise(penalised, [slope, offset])
    if slope < LEAST:
        slope = slope.detach().fill_(LEAST)
        _minimise(penalised, [offset])
    return Calibration(float(cost().detach()), slope.detach().float(), offset.detach().float())


def _minimise(function: Callable[[], Tensor], variables: list[Tensor]) -> None:
    optimiser = torch.optim.LBFGS(
        variables,
        max_iter=60,
        tolerance_grad=1e-6,
        tolerance_change=1e-10,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = function()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimiser.step(closure)
