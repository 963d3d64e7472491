"""EM + APL: entropy by hand, and which labels become pseudo-labels when."""

import math

import pytest
import torch

from given import A, P, U, build, cost, take
from partlabel.methods.em_apl import EMAPL

COLUMN = [[-float(n)] for n in range(10)]  # ten images of one class; the last is the lowest


def test_unknown_labels_cost_minus_their_entropy():
    p = float(torch.tensor(1.0).sigmoid())
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    terms = take(build(EMAPL, 3), [[0.5, 1.0, -2.0]], [[P, U, A]])[1].terms
    assert terms["bce"].item() == pytest.approx((cost(0.5) + cost(-2.0, 0)) / 3)
    assert terms["entropy"].item() == pytest.approx(-0.1 * entropy / 3)
    assert terms["absent"] == 0


def run(method, epochs=4, labels=None):
    """Epochs of one batch; the pseudo-labels of each."""
    labels = [[U]] * 10 if labels is None else labels
    steps = [take(method, COLUMN, labels, epoch=epoch, epochs=epochs)[1] for epoch in range(epochs)]
    return [step.pseudo_labels["absent"].weight[:, 0].tolist() for step in steps]


def test_after_half_the_run_an_equal_part_of_the_lowest_is_taken_each_epoch():
    """0.9 of ten labels over two epochs: four and four, for parts are rounded down."""
    none, four, eight = [0] * 10, [0] * 6 + [1] * 4, [0] * 2 + [1] * 8
    assert run(build(EMAPL, 1)) == [none, none, four, eight]


def test_known_labels_are_not_taken():
    labels = [[U]] * 6 + [[A]] * 4
    assert run(build(EMAPL, 1), labels=labels)[-1] == [0, 0, 1, 1, 1, 1, 0, 0, 0, 0]


def test_a_pseudo_label_is_what_was_scored_then_and_leaves_the_entropy():
    method = build(EMAPL, 1)
    run(method, epochs=4)
    terms = take(method, [[5.0]] * 10, [[U]] * 10, epoch=3, batch=1, epochs=4)[1].terms
    p = torch.tensor(COLUMN).sigmoid()[:, 0].tolist()
    assert terms["absent"].item() == pytest.approx(0.9 * sum(cost(5.0, q) for q in p[2:]) / 10)
    two = -0.1 * 2 * (cost(5.0, float(torch.tensor(5.0).sigmoid()))) / 10
    assert terms["entropy"].item() == pytest.approx(two, rel=1e-4)


def test_with_a_start_of_one_it_is_entropy_maximisation_alone():
    assert not any(map(any, run(build(EMAPL, 1, start=1.0))))


def test_what_was_taken_is_in_what_is_saved():
    method, again = build(EMAPL, 1), build(EMAPL, 1)
    run(method)
    again.load_state_dict(method.state_dict())
    now = {"epoch": 3, "batch": 1, "epochs": 4}
    terms = [take(each, COLUMN, [[U]] * 10, **now)[1].terms for each in (method, again)]
    assert terms[0] == terms[1]
    assert terms[0]["absent"] > 0
