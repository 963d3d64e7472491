"""Calibration of logits by a slope and offsets, fitted on known labels of held-out images (Platt scaling).

Platt, "Probabilistic Outputs for Support Vector Machines", 1999; one slope for all classes, as the temperature of Guo
et al., "On Calibration of Modern Neural Networks", ICML 2017, arXiv:1706.04599.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from partlabel.core.dtypes import double_if_supported
from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Labels

LEAST = 0.1
"""Minimum of the slope: logits that are negatively correlated with the labels are scaled down, not inverted."""
STEPS, SHORTEST, PRECISION = 100, 1e-9, 1e-13
"""Of Newton's method: steps at most, the shortest step, and the share of the cost that a last step may still save."""


class Calibration(NamedTuple):
    """Slope and offsets of logits.

    Attributes:
        cost: Cross-entropy of the known labels, summed.
        slope: Slope of the logits about each class's anchor.
        offset: Offset of each class.
    """

    cost: float
    slope: Float[Tensor, ""]
    offset: Float[Tensor, " class"]


def calibrate(
    logits: Float[Tensor, "image class"], anchor: Float[Tensor, " class"], labels: Labels
) -> Calibration:
    """Fit the common slope, at least `LEAST`, and the offset of each class, by the cross-entropy of known labels.

    Evidence repeats part of what the head computes, so their sum is overconfident: without the slope a better ranking
    would have a worse cross-entropy. One slope for all classes, and penalised offsets that a few labels do not move.
    """
    kind = double_if_supported(logits.device)
    image, cls = (labels != UNKNOWN).nonzero(as_tuple=True)
    start = anchor.to(kind)
    raised = logits.to(kind)[image, cls] - start[cls]
    truth = (labels[image, cls] == PRESENT).to(kind)
    slope, offset = start.new_ones(()), torch.zeros_like(start)
    slope, offset = _minimise(raised, truth, cls, start, slope, offset, with_slope=True)
    if slope < LEAST:
        slope = torch.full_like(slope, LEAST)
        slope, offset = _minimise(raised, truth, cls, start, slope, offset, with_slope=False)
    odds = (start + offset)[cls] + slope * raised
    cost = binary_cross_entropy_with_logits(odds, truth, reduction="sum")
    return Calibration(float(cost), slope.float(), offset.float())


@torch.no_grad()
def _minimise(
    raised: Float[Tensor, " label"],
    truth: Float[Tensor, " label"],
    cls: Int64[Tensor, " label"],
    start: Float[Tensor, " class"],
    slope: Float[Tensor, ""],
    offset: Float[Tensor, " class"],
    with_slope: bool,
) -> tuple[Float[Tensor, ""], Float[Tensor, " class"]]:
    """Minimise cross-entropy + (slope - 1)^2 + |offset|^2 by Newton's method, over slope and offsets or offsets alone.

    The offsets are coupled only by the slope, so the Hessian is an arrow, which elimination of the offsets inverts.
    """

    def by_class(values: Float[Tensor, " label"]) -> Float[Tensor, " class"]:
        return torch.zeros_like(start).index_add_(0, cls, values)

    def cost(slope: Float[Tensor, ""], offset: Float[Tensor, " class"]) -> Float[Tensor, ""]:
        misfit = binary_cross_entropy_with_logits(
            (start + offset)[cls] + slope * raised, truth, reduction="sum"
        )
        return misfit + (slope - 1).square() + offset.square().sum()

    least = cost(slope, offset)
    for _ in range(STEPS):
        sure = ((start + offset)[cls] + slope * raised).sigmoid()
        weight, wrong = sure * (1 - sure), sure - truth
        toward_offset, toward_slope = by_class(wrong) + 2 * offset, (wrong * raised).sum() + 2 * (slope - 1)
        of_offset, mixed = by_class(weight) + 2, by_class(weight * raised)
        of_slope = (weight * raised.square()).sum() + 2 - (mixed.square() / of_offset).sum()
        move = -(toward_slope - (mixed * toward_offset / of_offset).sum()) / of_slope * with_slope
        moves = -(toward_offset + mixed * move) / of_offset
        length = 1.0
        while (found := cost(slope + length * move, offset + length * moves)) > least and length > SHORTEST:
            length /= 2
        if not found < least:
            break
        slope, offset = slope + length * move, offset + length * moves
        done, least = least - found <= PRECISION * least, found
        if done:
            break
    return slope, offset
