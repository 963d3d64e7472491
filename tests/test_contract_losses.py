"""What every loss `(logits, Targets) -> scalar` in the folder keeps."""

import pytest
import torch

from partlabel import losses
from partlabel.core import registry
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.targets import Targets

LOSSES = [name for name in registry.names("partlabel.losses") if name != "contrastive"]
every_loss = pytest.mark.parametrize("name", LOSSES)


def build(name):
    return registry.find(losses.__name__, name)()


def some_logits(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 5, generator=generator).requires_grad_()


def some_labels():
    return torch.randint(-1, 2, (4, 5), generator=torch.Generator().manual_seed(1)).to(torch.int8)


@every_loss
@pytest.mark.parametrize("scale", [1.0, 1e4], ids=["usual", "saturated"])
@pytest.mark.parametrize("fill", [None, PRESENT, ABSENT, UNKNOWN])
def test_value_and_gradient_are_finite(name, fill, scale):
    labels = some_labels() if fill is None else torch.full((4, 5), fill, dtype=torch.int8)
    logits = some_logits()
    value = build(name)(logits * scale, Targets.known(labels))
    value.backward()
    assert value.shape == () and value.isfinite()
    assert logits.grad.isfinite().all()


@every_loss
def test_unknown_labels_move_neither_value_nor_gradient(name):
    labels, loss = some_labels(), build(name)
    logits = some_logits()
    other = torch.where(labels == UNKNOWN, 7.0, logits.detach()).requires_grad_()
    ours, theirs = (loss(each, Targets.known(labels)) for each in (logits, other))
    torch.testing.assert_close(ours, theirs)
    ours.backward()
    assert (logits.grad[labels == UNKNOWN] == 0).all()
    assert (logits.grad[labels != UNKNOWN] != 0).any()


@every_loss
def test_class_order_does_not_matter(name):
    order = torch.tensor([4, 2, 0, 1, 3])
    logits, labels, loss = some_logits(), some_labels(), build(name)
    torch.testing.assert_close(
        loss(logits[:, order], Targets.known(labels[:, order])), loss(logits, Targets.known(labels))
    )


@every_loss
def test_nothing_known_costs_nothing(name):
    assert build(name)(some_logits(), Targets.known(torch.full((4, 5), UNKNOWN, dtype=torch.int8))) == 0


@every_loss
def test_being_right_costs_less_than_being_wrong(name):
    labels, loss = some_labels(), build(name)
    right = (labels.float() * 2 - 1) * 3
    assert loss(right, Targets.known(labels)) < loss(-right, Targets.known(labels))


@every_loss
def test_a_half_precision_logit_loses_nothing_but_its_digits(name):
    labels, logits, loss = some_labels(), some_logits(), build(name)
    half = loss(logits.bfloat16(), Targets.known(labels))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, loss(logits, Targets.known(labels)), rtol=0.02, atol=0.01)
