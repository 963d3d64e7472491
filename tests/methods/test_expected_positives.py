"""EPR and ROLE: the number of positives, and the table's gradient against autograd."""

import warnings

import pytest
import torch

from given import A, P, U, build, cost, take
from partlabel.methods._expected_positives import ExpectedPositives
from partlabel.methods.epr import EPR
from partlabel.methods.role import ROLE

LOGITS = [[0.5, 1.0, -2.0], [3.0, 1.0, 0.0]]
LABELS = [[P, U, A], [U, A, U]]
KNOWN = cost(0.5) + cost(-2.0, 0) + cost(1.0, 0)


def test_the_penalty_is_the_square_of_what_is_found_too_much_per_class():
    found = torch.tensor(LOGITS).sigmoid().sum() / 2
    terms = take(build(EPR, 3, positives=1.5), LOGITS, LABELS)[1].terms
    assert terms["bce"].item() == pytest.approx(KNOWN / 6)
    assert terms["expected"].item() == pytest.approx(float((found - 1.5) ** 2 / 9))


def test_where_not_given_the_number_is_read_off_the_known_labels():
    """Labels known in a tenth of the images at random: 0.2 + 0.7 + 0.5 present of the three classes."""
    generator = torch.Generator().manual_seed(0)
    truth = (torch.rand(40000, 3, generator=generator) < torch.tensor([0.2, 0.7, 0.5])).to(torch.int8)
    labels = truth.masked_fill(torch.rand(truth.shape, generator=generator) > 0.1, U)
    expected = ExpectedPositives(3)
    assert expected.number().isnan()
    assert expected.excess(torch.ones(2, 3)) == 0
    expected.see(labels[:100])
    expected.see(labels[100:])
    assert float(expected.number()) == pytest.approx(1.4, abs=0.05)


def test_of_present_labels_alone_the_number_cannot_be_read_off_and_that_is_said():
    expected = ExpectedPositives(10)
    expected.see(torch.where(torch.eye(10, dtype=torch.bool).repeat(20, 1), P, U).to(torch.int8))
    with pytest.warns(
        UserWarning, match=r"none of 200 known labels is absent.*all 10 classes.*--method.positives"
    ):
        expected.warn_if_none_is_absent()
    assert float(expected.number()) == pytest.approx(10)
    given = ExpectedPositives(10, positives=1.5)
    given.see(torch.full((20, 10), P, dtype=torch.int8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given.warn_if_none_is_absent()
    assert given.number() == 1.5


def test_a_class_never_known_counts_as_the_others_do():
    expected = ExpectedPositives(2)
    expected.see(torch.tensor([[P, U], [A, U]], dtype=torch.int8))
    assert float(expected.number()) == pytest.approx(1.0)


def test_role_begins_undecided_and_fits_half_of_what_it_estimates():
    found = torch.tensor(LOGITS).sigmoid().sum() / 2
    terms = take(build(ROLE, 3, positives=1.5), LOGITS, LABELS)[1].terms
    unknown = cost(1.0, 0.5) + cost(3.0, 0.5) + cost(0.0, 0.5)
    assert terms["bce"].item() == pytest.approx(KNOWN / 6)
    assert terms["estimated"].item() == pytest.approx(unknown / 2 / 6)
    assert terms["expected"].item() == pytest.approx(float((found - 1.5) ** 2 / 9) / 2)


def test_the_table_moves_by_the_gradient_of_the_papers_loss():
    method, p = build(ROLE, 3, positives=0.4, rate=0.3), torch.tensor(LOGITS).sigmoid()
    start = torch.tensor([[0.0, 2.0, 0.0], [-1.0, 0.0, 0.3]])
    labels = torch.tensor(LABELS, dtype=torch.int8)
    method.estimates.write(torch.arange(2), start)
    take(method, LOGITS, LABELS)

    z = start.clone().requires_grad_()
    q = torch.where(labels == U, z.sigmoid(), labels.float())
    cross = -(p * z.sigmoid().log() + (1 - p) * (1 - z.sigmoid()).log())[labels == U].sum()
    loss = cross / 6 + (q.sum() / 2 - 0.4) ** 2 / 9
    loss.backward()
    torch.testing.assert_close(method.estimates.cells, start - 0.3 * 6 * z.grad)


def test_the_table_comes_to_what_the_recogniser_says_where_the_number_is_right():
    method = build(ROLE, 3, positives=float(torch.tensor(LOGITS).sigmoid().sum() / 2))
    for _ in range(200):
        step = take(method, LOGITS, [[U] * 3] * 2)[1]
    torch.testing.assert_close(
        step.pseudo_labels["estimated"].value, torch.tensor(LOGITS).sigmoid(), atol=1e-3, rtol=0
    )


def test_the_table_is_by_row_and_in_what_is_saved():
    method, again = build(ROLE, 3), build(ROLE, 3)
    fresh = take(method, LOGITS, LABELS, rows=[7, 3])[1].terms["estimated"]
    again.load_state_dict(method.state_dict())
    turned = take(again, LOGITS[::-1], LABELS[::-1], rows=[3, 7])[1].terms["estimated"]
    assert turned == take(method, LOGITS, LABELS, rows=[7, 3])[1].terms["estimated"]
    assert turned < fresh
