import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Targets
from partlabel.losses.partial_bce import PartialBCE


def test_it_equals_a_loop_over_the_known_cells():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, generator=generator)
    labels = torch.randint(-1, 2, (3, 4), generator=generator).to(torch.int8)
    costs = []
    for b in range(3):
        for c in range(4):
            if labels[b, c] != UNKNOWN:
                p = 1 / (1 + math.exp(-logits[b, c]))
                costs.append(-math.log(p if labels[b, c] == PRESENT else 1 - p))
    torch.testing.assert_close(
        PartialBCE()(logits, Targets.known(labels)), torch.tensor(sum(costs) / len(costs))
    )


@given(st.floats(0, 1), st.floats(0.01, 5), st.floats(-5, 5))
def test_one_soft_target_costs_its_cross_entropy_whatever_its_weight(value, weight, logit):
    p = 1 / (1 + math.exp(-logit))
    targets = Targets(torch.tensor([[value]]), torch.tensor([[weight]]))
    expected = -(value * math.log(p) + (1 - value) * math.log(1 - p))
    assert math.isclose(
        PartialBCE()(torch.tensor([[logit]]), targets).item(), expected, rel_tol=1e-4, abs_tol=1e-5
    )
