"""The criterion of the search: how much of the labels' entropy the out-of-fold logits leave unexplained.

A class's labels are looked at twice. Its known cells alone say whether present and absent labels are told apart; they
are few, and where only presences are known they say nothing. All its cells, unknown ones taken for absent, say whether
known presences rank above everything else; that is right where it does not depend on the image which presences are
known (SCAR, Elkan and Noto, KDD 2008), and ignores what known absences say. With K and A for the cross-entropies of the
two after calibration, and H for those of a constant,

    U = mean_c (K_c + A_c) / (H(K)_c + H(A)_c)

which is 1 - R^2 (McFadden's, 1974), averaged over classes: 0 for perfect logits, about 1 for useless ones. A sum over
all labels would be decided by the common classes, and mean AP counts all alike. docs/log.md has the criteria that lost
to it, and benchmarks/criteria.py compares them.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softplus

from partlabel.codes import PRESENT, UNKNOWN
from partlabel.labels import Labels

STEPS, HALVINGS = 12, 10
"""Newton steps of a calibration, at most; how often one is halved that does not lead down."""
LEAST_SLOPE = 0.1
"""Slope of a calibration, at least: logits that say the opposite of the truth are not turned round."""
LEAST_ENTROPY = 1.0
"""Nats that a class is taken to have, at least."""


class Costs(NamedTuple):
    """Cross-entropies of each class, summed over its cells.

    Attributes:
        calibrated: Of the logits, once a common slope and an offset per class are fitted to the same cells.
        constant: Of the share of cells that is present.
    """

    calibrated: Float[Tensor, " class"]
    constant: Float[Tensor, " class"]


def unexplained(logits: Float[Tensor, "image class"], labels: Labels) -> float:
    """Compute the share of the labels' entropy that the logits leave unexplained; lower is better.

    Only classes of which a presence is known count, if there are any.

    Args:
        logits: Of each image, by a model that was fitted without it.
        labels: PRESENT, ABSENT or UNKNOWN.
    """
    present = labels == PRESENT
    known = costs(logits, present, labels != UNKNOWN)
    everything = costs(logits, present, torch.ones_like(present))
    cost = known.calibrated + everything.calibrated
    constant = (known.constant + everything.constant).clamp(min=LEAST_ENTROPY)
    counts = present.any(0) if bool(present.any()) else torch.ones_like(present[0])
    return float((cost / constant)[counts].mean())


def costs(
    logits: Float[Tensor, "image class"],
    present: Bool[Tensor, "image class"],
    cells: Bool[Tensor, "image class"],
) -> Costs:
    """Compute the cross-entropies of some cells after calibration, and of a constant.

    The calibration is that of `calibration.calibrate`, with each class's logits first centred on the log-odds of its
    share of present cells, so that the penalty on offsets does not depend on a shift of the logits. It is found by
    Newton's method, of which a step costs as much as the cross-entropy.

    Args:
        logits: Of each cell.
        present: Cells that are present.
        cells: Cells that count.
    """
    target, weight = (present & cells).to(logits), cells.to(logits)
    count, share = weight.sum(0), (target.sum(0) + 0.5) / (weight.sum(0) + 1)
    prior = share.logit()
    centred = logits - logits.mean(0)
    slope, offset = logits.new_ones(()), torch.zeros_like(prior)

    def cost(slope: Tensor, offset: Tensor) -> Float[Tensor, " class"]:
        odds = prior + offset + slope * centred
        return (weight * softplus(odds) - target * odds).sum(0)

    best = cost(slope, offset)
    for _ in range(STEPS):
        step_slope, step_offset = _newton(slope, offset, prior, centred, target, weight)
        before = _penalised(best, slope, offset)
        for _ in range(HALVINGS):
            moved = (slope + step_slope).clamp(min=LEAST_SLOPE), offset + step_offset
            found = cost(*moved)
            if _penalised(found, *moved) <= before:
                break
            step_slope, step_offset = step_slope / 2, step_offset / 2
        else:
            break
        (slope, offset), best = moved, found
        if before - _penalised(best, slope, offset) < 1e-5 * before:
            break
    known_present = target.sum(0)
    constant = -(torch.xlogy(known_present, known_present / count.clamp(min=1)))
    constant -= torch.xlogy(count - known_present, 1 - known_present / count.clamp(min=1))
    return Costs(best, constant)


def _newton(
    slope: Float[Tensor, ""],
    offset: Float[Tensor, " class"],
    prior: Float[Tensor, " class"],
    centred: Float[Tensor, "image class"],
    target: Float[Tensor, "image class"],
    weight: Float[Tensor, "image class"],
) -> tuple[Float[Tensor, ""], Float[Tensor, " class"]]:
    """Newton's step on the penalised cost; all second derivatives but those with the slope are diagonal."""
    sure = (prior + offset + slope * centred).sigmoid_()
    error, curvature = weight * sure - target, weight * sure * (1 - sure)
    of_slope = (error * centred).sum() + 2 * (slope - 1)
    of_offset = error.sum(0) + 2 * offset
    twice_slope = (curvature * centred.square()).sum() + 2
    twice_offset = curvature.sum(0) + 2
    mixed = (curvature * centred).sum(0)
    step = -(of_slope - (mixed * of_offset / twice_offset).sum())
    step = step / (twice_slope - (mixed.square() / twice_offset).sum()).clamp(min=1e-6)
    return step, -(of_offset + mixed * step) / twice_offset


def _penalised(
    cost: Float[Tensor, " class"], slope: Float[Tensor, ""], offset: Float[Tensor, " class"]
) -> Float[Tensor, ""]:
    return cost.sum(dtype=torch.float64) + (slope - 1).square() + offset.square().sum()
