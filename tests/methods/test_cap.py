"""CAP: what it learns from, epoch by epoch and by the full-batch solver."""

import pytest
import torch

from given import A, P, U, build, cost, take
from partlabel.methods.cap import CAP

LOGITS = [[3.0], [1.0], [-1.0], [-2.0], [0.5], [-0.5]]
LABELS = [
    [U],
    [U],
    [U],
    [U],
    [P],
    [A],
]  # half of the known labels are present: so are two of four unknown ones


def epochs(method, count, **given):
    return [take(method, LOGITS, LABELS, epoch=epoch, **given)[1] for epoch in range(count)]


def test_pseudo_labels_start_with_start_epoch():
    weights = [
        step.pseudo_labels["proportion"].weight.sum() for step in epochs(build(CAP, 1, start_epoch=2), 4)
    ]
    assert weights == [0, 0, 4, 4]


def test_as_many_unknown_labels_are_learned_as_present_as_the_known_ones_say():
    step = epochs(build(CAP, 1, start_epoch=1), 2)[-1]
    assert step.pseudo_labels["proportion"].value[:4, 0].tolist() == [1, 1, 0, 0]
    expected = cost(3.0) + cost(1.0) + cost(-1.0, 0) + cost(-2.0, 0)
    assert step.terms["assumed"].item() == pytest.approx(expected / 6)
    assert step.terms["bce"].item() == pytest.approx((cost(0.5) + cost(-0.5, 0)) / 6)


def test_half_of_the_shares_leaves_the_middle_unknown():
    step = epochs(build(CAP, 1, start_epoch=1, share_present=0.5, share_absent=0.5), 2)[-1]
    assert step.pseudo_labels["proportion"].weight[:, 0].tolist() == [1, 0, 0, 1, 0, 0]


def test_no_pseudo_label_lies_in_the_first_epoch_even_with_start_epoch_zero():
    (step,) = epochs(build(CAP, 1, start_epoch=0), 1)
    assert step.pseudo_labels["proportion"].weight.sum() == 0


def test_present_labels_alone_need_the_number_of_present_classes_per_image():
    labels = [[P, U]] * 6
    logits = torch.linspace(-1, 1, 12).view(6, 2).tolist()
    with pytest.raises(ValueError, match="no known label is absent"):
        take(build(CAP, 2), logits, labels)
    take(build(CAP, 2, positives=1.0), logits, labels)
