"""The signed power against its formula, and its slope where that has no bound."""

import pytest
import torch

from partlabel.nn.power import root, signed_power


@pytest.mark.parametrize("power", [0.25, 0.5, 1.0, 2.0])
def test_it_is_the_formula(power):
    x = torch.randn(50, dtype=torch.float64)
    torch.testing.assert_close(signed_power(x, power), x.sign() * x.abs() ** power)


def test_zero_stays_zero_and_what_is_no_number_stays_none():
    x = torch.tensor([0.0, -0.0, torch.nan, 4.0, -9.0])
    expected = torch.tensor([0.0, 0.0, torch.nan, 2.0, -3.0])
    torch.testing.assert_close(root(x), expected, equal_nan=True)


def test_its_slope_is_the_formula_s_and_at_zero_0():
    x = torch.tensor([0.0, 4.0, -0.25], requires_grad=True)
    root(x).sum().backward()
    assert x.grad.tolist() == [0.0, 0.25, 1.0]


def test_its_slope_agrees_with_finite_differences():
    x = torch.randn(20, dtype=torch.float64)
    assert torch.autograd.gradcheck(root, (x.sign() * (x.abs() + 0.1)).requires_grad_())
