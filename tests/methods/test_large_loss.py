"""LL-R, LL-Ct, LL-Cp: which labels are suspected, and what becomes of them."""

import pytest
import torch

from given import A, P, U, build, cost, take
from partlabel.methods._assuming import largest
from partlabel.methods.ll_cp import LLCp
from partlabel.methods.ll_ct import LLCt
from partlabel.methods.ll_r import LLR

LOGITS = [[3.0, 2.0, -1.0, 4.0], [1.0, 0.0, 9.0, -2.0]]
LABELS = [[P, U, U, U], [U, U, A, U]]  # the unknown ones by cost: 4, 2, 1, 0, -1, -2
KNOWN = cost(3.0) + cost(9.0, 0)


def absent(*logits):
    return sum(cost(logit, 0.0) for logit in logits)


def step(method, **progress):
    return take(method, LOGITS, LABELS, **progress)[1]


@pytest.mark.parametrize("kind", [LLR, LLCt, LLCp])
def test_in_the_first_epoch_all_unknown_labels_are_absent(kind):
    terms = step(build(kind, 4)).terms
    assert terms["bce"].item() == pytest.approx(KNOWN / 8)
    assert terms["assumed"].item() == pytest.approx(absent(2, -1, 4, 1, 0, -2) / 8, rel=1e-5)


def test_rejection_leaves_out_a_label_more_each_epoch():
    method = build(LLR, 4, share=1 / 8)
    for epoch, left in ((1, (2, -1, 1, 0, -2)), (2, (-1, 1, 0, -2)), (6, ())):
        terms = step(method, epoch=epoch).terms
        assert terms["assumed"].item() == pytest.approx(absent(*left) / (2 + len(left)), abs=1e-5)
        assert terms["bce"].item() == pytest.approx(KNOWN / (2 + len(left)))


def test_temporary_correction_turns_a_label_more_each_epoch():
    method = build(LLCt, 4, share=1 / 8)
    found = step(method, epoch=2)
    assert found.terms["assumed"].item() == pytest.approx(
        (cost(4.0) + cost(2.0) + absent(-1, 1, 0, -2)) / 8, rel=1e-5
    )
    assert found.pseudo_labels["corrected"].weight.tolist() == [[0, 1, 0, 1], [0, 0, 0, 0]]
    assert step(method, epoch=0).pseudo_labels["corrected"].weight.sum() == 0


def test_permanent_correction_turns_others_each_time_and_remembers_them_by_image():
    method = build(LLCp, 4, share=1 / 8)
    turned = [step(method, epoch=1).pseudo_labels["corrected"].weight.tolist() for _ in range(2)]
    assert turned == [[[0, 0, 0, 1], [0, 0, 0, 0]], [[0, 1, 0, 1], [0, 0, 0, 0]]]
    _, swapped = take(method, LOGITS[::-1], LABELS[::-1], rows=[1, 0], epoch=0)
    assert swapped.pseudo_labels["corrected"].weight.tolist() == [[0, 0, 0, 0], [0, 1, 0, 1]]


def test_permanent_corrections_are_in_what_is_saved():
    method, again = build(LLCp, 4, share=1 / 8), build(LLCp, 4, share=1 / 8)
    step(method, epoch=1)
    again.load_state_dict(method.state_dict())
    assert step(again, epoch=0).pseudo_labels["corrected"].weight.sum() == 1


def test_a_known_label_is_never_suspected_even_where_all_losses_are_alike():
    score, among = torch.zeros(3, 4), torch.zeros(3, 4, dtype=torch.bool)
    among[1, 2:] = True
    assert (largest(score, among, 4.0) == among).all()
    assert largest(score, among, 1 / 3).sum() == 1
    assert largest(score, among, 0.0).sum() == 0


def test_a_share_is_rounded_up_but_not_by_what_floats_add():
    assert largest(torch.rand(5, 10), torch.ones(5, 10, dtype=torch.bool), 0.1 * 3).sum() == 2
    assert largest(torch.rand(10, 10), torch.ones(10, 10, dtype=torch.bool), 0.1 * 3).sum() == 3
