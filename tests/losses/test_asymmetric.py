import math

import pytest
import torch

from partlabel.core.targets import Targets
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


@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_an_exponent_below_one_has_its_slope_and_none_that_is_no_number_where_all_is_learned(margin):
    """d/dz of `-sqrt(1 - p) log p` and of `-sqrt(q) log(1 - q)`, `q = p - margin`, with `dp/dz = p (1 - p)`."""
    logits = torch.tensor([-200.0, -18.0, 1.0, 18.0, 200.0], requires_grad=True)
    loss = Asymmetric(0.5, 0.5, margin)
    p = 1 / (1 + math.exp(-1))
    q = p - margin
    by_p = {
        1.0: math.log(p) / (2 * math.sqrt(1 - p)) - math.sqrt(1 - p) / p,
        0.0: -math.log(1 - q) / (2 * math.sqrt(q)) + math.sqrt(q) / (1 - q),
    }
    for value, slope in by_p.items():
        (gradient,) = torch.autograd.grad(loss.each(logits, torch.full_like(logits, value)).sum(), logits)
        assert gradient.isfinite().all()
        assert gradient[2].item() == pytest.approx(slope * p * (1 - p), rel=1e-5)
    nothing = Targets(torch.ones(1, 5), torch.zeros(1, 5))
    loss(logits[None], nothing).backward()
    assert not logits.grad.any()


def test_an_absent_label_below_the_margin_costs_nothing():
    logits = torch.full((1, 1), -6.0, requires_grad=True)
    loss = Asymmetric(margin=0.05)(logits, Targets.known(torch.zeros(1, 1, dtype=torch.int8)))
    loss.backward()
    assert loss == 0 and logits.grad == 0
