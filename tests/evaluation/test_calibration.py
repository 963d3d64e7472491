"""Calibration: what is returned is what was judged."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from partlabel.evaluation.calibration import LEAST, calibrate


def drawn(sign):
    """Logits that say what is so, or the opposite of it, three times too loud, and labels, a fifth of them present."""
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(300, 2, generator=random) - 1.5
    labels = (torch.rand(300, 2, generator=random) < logits.sigmoid()).to(torch.int8)
    return 3 * sign * logits, labels


def cost_of(logits, anchor, labels, slope, offset):
    odds = anchor + offset + slope * (logits - anchor)
    return float(binary_cross_entropy_with_logits(odds, labels.float(), reduction="sum"))


@pytest.mark.parametrize("sign", [1, -1], ids=["right", "the wrong way round"])
def test_the_cost_is_that_of_the_slope_and_offsets_returned(sign):
    logits, labels = drawn(sign)
    anchor = logits.mean(0)
    found = calibrate(logits, anchor, labels)
    assert found.cost == pytest.approx(cost_of(logits, anchor, labels, found.slope, found.offset), rel=1e-5)
    assert float(found.slope) == pytest.approx(1 / 3, rel=0.3) if sign == 1 else found.slope == LEAST


def test_logits_that_are_wrong_get_the_least_slope_and_the_offsets_that_are_best_with_it():
    logits, labels = drawn(-1)
    anchor = logits.mean(0)
    found = calibrate(logits, anchor, labels)

    def penalised(offset):
        return cost_of(logits, anchor, labels, LEAST, offset) + float(offset.square().sum())

    for step in (-0.05, 0.05):
        for c in range(2):
            moved = found.offset.clone()
            moved[c] += step
            assert penalised(moved) > penalised(found.offset)
