import math

import pytest
import torch

from partlabel.labels import Targets
from partlabel.losses.asymmetric import Asymmetric


@pytest.mark.parametrize(
    ("gamma_present", "gamma_absent", "margin"), [(1.0, 2.0, 0.05), (0.0, 4.0, 0.05), (0.0, 0.0, 0.0)]
)
def test_it_equals_a_loop(gamma_present, gamma_absent, margin):
    logits = torch.tensor([[-4.0, -0.3], [0.2, 2.0]])
    labels = torch.tensor([[0, 1], [0, 1]], dtype=torch.int8)
    costs = []
    for logit, label in zip(logits.flatten().tolist(), labels.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-logit))
        q = max(p - margin, 0)
        present, absent = -((1 - p) ** gamma_present) * math.log(p), -(q**gamma_absent) * math.log(1 - q)
        costs.append(present if label else absent)
    ours = Asymmetric(gamma_present, gamma_absent, margin)(logits, Targets.known(labels))
    torch.testing.assert_close(ours, torch.tensor(sum(costs) / 4))


def test_an_absent_label_below_the_margin_costs_nothing():
    logits = torch.full((1, 1), -6.0, requires_grad=True)
    loss = Asymmetric(margin=0.05)(logits, Targets.known(torch.zeros(1, 1, dtype=torch.int8)))
    loss.backward()
    assert loss == 0 and logits.grad == 0
