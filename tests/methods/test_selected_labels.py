"""CSL and curriculum labelling: which unknown labels are learned, and as what."""

import pytest
import torch

from given import A, P, U, build, cost, take
from partlabel.methods.csl import CSL
from partlabel.methods.curriculum import Curriculum

LOGITS = [[3.0, 2.0, -1.0, 0.5], [1.0, 0.0, 9.0, -2.0]]
LABELS = [[P, U, U, U], [U, U, A, U]]


def asl(logit, gamma):
    p = float(torch.tensor(logit, dtype=torch.float64).sigmoid())
    return p**gamma * cost(logit, 0)


def test_csl_learns_known_labels_alone_at_first():
    terms = take(build(CSL, 4), LOGITS, LABELS, epoch=0, epochs=6)[1].terms
    assert terms["bce"].item() == pytest.approx((cost(3.0) + asl(9.0, 1)) / 2, rel=1e-4)
    assert terms["assumed"] == 0


def test_csl_leaves_out_the_most_probable_of_a_batch_and_frequent_classes():
    method = build(CSL, 4, likely=1.0)
    terms = take(method, LOGITS, LABELS, epoch=2, epochs=6)[1].terms  # left out: 2.0 and 1.0
    left = asl(-1.0, 4) + asl(0.5, 4) + asl(0.0, 4) + asl(-2.0, 4)
    assert terms["assumed"].item() == pytest.approx(left / 6, rel=1e-4)

    method = build(CSL, 4, likely=1.0)
    take(method, [[-9.0, -9.0, -9.0, 9.0]] * 2, LABELS, epoch=1, epochs=6)  # what the prior is read off
    terms = take(method, LOGITS, LABELS, epoch=2, epochs=6)[1].terms
    assert terms["assumed"].item() == pytest.approx((asl(-1.0, 4) + asl(0.0, 4)) / 4, rel=1e-4)


def test_the_prior_is_of_the_epoch_before_and_in_what_is_saved():
    method, again = build(CSL, 4), build(CSL, 4)
    for epoch in (0, 1, 2):
        take(method, LOGITS, LABELS, epoch=epoch, epochs=6)
    again.load_state_dict(method.state_dict())
    torch.testing.assert_close(again.prediction / again.images, torch.tensor(LOGITS).sigmoid().mean(0))


def test_a_round_believes_what_the_last_one_was_sure_of():
    """Six epochs in three rounds: the scores of epochs 1 and 3 are believed from 2 and 4 on."""
    method, believed = build(Curriculum, 4, threshold=1.5), []
    for epoch in range(6):
        logits = LOGITS if epoch < 2 else [[-2.0] * 4] * 2
        pseudo = take(method, logits, LABELS, epoch=epoch, epochs=6)[1].pseudo_labels["believed"]
        believed.append(torch.where(pseudo.weight > 0, pseudo.value, float(U)).tolist())
    first = [[U, P, U, U], [U, U, U, A]]
    second = [[U, A, A, A], [A, A, U, A]]
    assert believed == [[[U] * 4] * 2] * 2 + [first] * 2 + [second] * 2


def test_believed_labels_count_as_known_ones_do():
    method = build(Curriculum, 4, threshold=1.5)
    take(method, LOGITS, LABELS, epoch=1, epochs=6)
    terms = take(method, LOGITS, LABELS, epoch=2, epochs=6)[1].terms
    assert terms["bce"].item() == pytest.approx((cost(3.0) + cost(9.0, 0)) / 4, rel=1e-4)
    assert terms["assumed"].item() == pytest.approx((cost(2.0) + cost(-2.0, 0)) / 4, rel=1e-4)
