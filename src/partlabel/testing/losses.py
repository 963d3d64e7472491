"""What every loss `(logits, Targets) -> scalar` keeps."""

import torch
from jaxtyping import Float, Int8
from torch import Tensor

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.targets import Targets
from partlabel.losses._base import Loss


def example_logits() -> Float[Tensor, "4 5"]:
    """Draw logits that take a gradient, the same at every call."""
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()


def example_labels() -> Int8[Tensor, "4 5"]:
    """Draw labels of all three values, the same at every call."""
    return torch.randint(-1, 2, (4, 5), generator=torch.Generator().manual_seed(1)).to(torch.int8)


def check_value_and_gradient_are_finite(kind: type[Loss]) -> None:
    """Check that usual and saturated logits give a finite scalar with a finite gradient, for any known labels."""
    for scale in (1.0, 1e4):
        for fill in (None, PRESENT, ABSENT, UNKNOWN):
            labels = example_labels() if fill is None else torch.full((4, 5), fill, dtype=torch.int8)
            logits = example_logits()
            value = kind()(logits * scale, Targets.known(labels))
            value.backward()
            assert value.shape == () and value.isfinite(), (scale, fill)
            assert logits.grad is not None and logits.grad.isfinite().all(), (scale, fill)


def check_unknown_labels_change_neither_value_nor_gradient(kind: type[Loss]) -> None:
    """Check that logits of unknown labels have no effect, and that those of known labels do."""
    labels, loss, logits = example_labels(), kind(), example_logits()
    other = torch.where(labels == UNKNOWN, 7.0, logits.detach())
    ours = loss(logits, Targets.known(labels))
    torch.testing.assert_close(ours, loss(other, Targets.known(labels)))
    ours.backward()
    assert logits.grad is not None
    assert (logits.grad[labels == UNKNOWN] == 0).all()
    assert (logits.grad[labels != UNKNOWN] != 0).any()


def check_the_order_of_classes_is_without_effect(kind: type[Loss]) -> None:
    """Check that permuted classes give the same value."""
    order = torch.tensor([4, 2, 0, 1, 3])
    logits, labels, loss = example_logits(), example_labels(), kind()
    permuted = loss(logits[:, order], Targets.known(labels[:, order]))
    torch.testing.assert_close(permuted, loss(logits, Targets.known(labels)))


def check_nothing_known_costs_nothing(kind: type[Loss]) -> None:
    """Check that a batch without known labels costs zero."""
    assert kind()(example_logits(), Targets.known(torch.full((4, 5), UNKNOWN, dtype=torch.int8))) == 0


def check_right_costs_less_than_wrong(kind: type[Loss]) -> None:
    """Check that logits of the right sign cost less than those of the wrong sign."""
    labels, loss = example_labels(), kind()
    right = (labels.float() * 2 - 1) * 3
    assert loss(right, Targets.known(labels)) < loss(-right, Targets.known(labels))


def check_half_precision_logits_lose_digits_alone(kind: type[Loss]) -> None:
    """Check that the loss of bfloat16 logits is float32, and near that of float32 logits."""
    labels, logits, loss = example_labels(), example_logits(), kind()
    half = loss(logits.bfloat16(), Targets.known(labels))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, loss(logits, Targets.known(labels)), rtol=0.02, atol=0.01)


LOSS_CHECKS = (
    check_value_and_gradient_are_finite,
    check_unknown_labels_change_neither_value_nor_gradient,
    check_the_order_of_classes_is_without_effect,
    check_nothing_known_costs_nothing,
    check_right_costs_less_than_wrong,
    check_half_precision_logits_lose_digits_alone,
)
"""All checks of a loss; it is built without arguments."""
