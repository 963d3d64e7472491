"""Weights of evidence sources, against a general optimiser and by their properties."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from partlabel.core.targets import Targets
from partlabel.transfer.combination import combine, misfit, weigh


def problem(seed=0, images=400, classes=3):
    random = torch.Generator().manual_seed(seed)
    truth = (torch.rand(images, classes, generator=random) < 0.3).float()
    telling = 2 * truth + torch.randn(images, classes, generator=random)
    other = truth + torch.randn(images, classes, generator=random)
    noise = torch.randn(images, classes, generator=random)
    weight = (torch.rand(images, classes, generator=random) < 0.5).float()
    return telling, other, noise, Targets(truth, weight)


def test_weights_and_offsets_minimise_the_stated_objective():
    telling, other, _, targets = problem()
    scores = torch.stack([telling, other])
    found = combine(scores, targets, kept=(0, 1))
    standard = found.standardised(scores).double()
    present = (targets.value * targets.weight).sum(0)
    prior = ((present + 0.5) / (targets.weight.sum(0) + 1)).logit().double()
    weight = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    offset = prior.clone().requires_grad_()

    def objective():
        odds = torch.einsum("sic,s->ic", standard, weight) + offset
        misfit = binary_cross_entropy_with_logits(
            odds, targets.value.double(), targets.weight.double(), reduction="sum"
        )
        return misfit + (weight.square().sum() + (offset - prior).square().sum()) / 2

    optimiser = torch.optim.LBFGS([weight, offset], max_iter=500, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        loss = objective()
        loss.backward()
        return loss

    for _ in range(5):
        optimiser.step(closure)
    torch.testing.assert_close(found.weight, weight.detach().float(), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found.offset, offset.detach().float(), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_a_source_without_information_changes_nothing(seed):
    telling, _, noise, targets = problem(seed)
    alone = combine(telling[None], targets)
    both = combine(torch.stack([telling, noise]), targets)
    assert both.weight[1] == 0
    torch.testing.assert_close(both.log_odds(torch.stack([telling, noise])), alone.log_odds(telling[None]))


def test_a_copy_of_a_source_is_not_counted_twice():
    telling, _, _, targets = problem()
    copies = torch.stack([telling, telling])
    torch.testing.assert_close(
        combine(copies, targets).log_odds(copies), combine(telling[None], targets).log_odds(telling[None])
    )


def test_a_telling_source_is_added_and_lowers_the_cost():
    telling, other, _, targets = problem()
    scores = torch.stack([other, telling])
    found = combine(scores, targets)
    assert found.weight[1] > found.weight[0] > 0
    assert misfit(found, scores, targets) < misfit(combine(other[None], targets), other[None], targets)


def test_a_source_that_points_the_wrong_way_is_not_used():
    telling, _, _, targets = problem()
    scores = torch.stack([telling, -telling])
    start = combine(scores, targets, kept=(0,))
    assert weigh(start, scores, targets, [1]).weight[1] == 0


def test_without_any_label_no_source_is_used():
    telling, other, _, targets = problem()
    nothing = Targets(targets.value, torch.zeros_like(targets.weight))
    assert not combine(torch.stack([telling, other]), nothing, kept=()).weight.any()


def test_shares_and_offset_add_up_to_the_log_odds():
    telling, other, _, targets = problem()
    scores = torch.stack([telling, other])
    found = combine(scores, targets)
    torch.testing.assert_close(found.shares(scores).sum(0) + found.offset, found.log_odds(scores))
