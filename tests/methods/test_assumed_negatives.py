"""Methods that take unknown labels for absent, against sums by hand: three labels, one of each kind."""

import pytest
import torch

from given import A, P, U, build, cost, take
from partlabel.methods.asl import ASL
from partlabel.methods.assume_negative import AssumeNegative
from partlabel.methods.durand import Durand
from partlabel.methods.hill import Hill
from partlabel.methods.label_smoothing import LabelSmoothing
from partlabel.methods.splc import SPLC
from partlabel.methods.weak_negatives import WeakNegatives

LOGITS, LABELS = [[0.5, 1.0, -2.0]], [[P, U, A]]


def terms(kind, logits=LOGITS, labels=LABELS, epoch=0, **options):
    step = take(build(kind, 3, **options), logits, labels, epoch=epoch)[1]
    return {name: pytest.approx(value.item(), rel=1e-5) for name, value in step.terms.items()}


def test_assume_negative_is_the_mean_over_all_labels():
    assert terms(AssumeNegative) == {"bce": (cost(0.5) + cost(-2.0, 0)) / 3, "assumed": cost(1.0, 0) / 3}


def test_weak_negatives_of_three_classes_count_half():
    assert terms(WeakNegatives) == {"bce": (cost(0.5) + cost(-2.0, 0)) / 3, "assumed": cost(1.0, 0) / 2 / 3}
    assert terms(WeakNegatives, weight=0.1)["assumed"] == cost(1.0, 0) / 10 / 3


def test_smoothed_labels_are_a_tenth_from_what_they_say():
    assert terms(LabelSmoothing) == {
        "bce": (cost(0.5, 0.9) + cost(-2.0, 0.1)) / 3,
        "assumed": cost(1.0, 0.1) / 3,
    }


def test_the_asymmetric_loss_is_of_known_labels_or_of_all():
    q = float(torch.tensor(-2.0).sigmoid()) - 0.05
    known = cost(0.5) - q**4 * float(torch.tensor(1 - q).log())
    assert terms(ASL) == {"bce": known / 2, "assumed": 0}
    q = float(torch.tensor(1.0).sigmoid()) - 0.05
    assumed = -(q**4) * float(torch.tensor(1 - q).log())
    assert terms(ASL, assumed_weight=1.0) == {"bce": known / 3, "assumed": assumed / 3}


def test_hill_lets_go_of_what_looks_present():
    p = torch.tensor([0.5 - 1, 1.0, -2.0]).sigmoid().tolist()
    present = (1 - p[0]) ** 2 * cost(-0.5)
    assert terms(Hill) == {
        "bce": (present + (1.5 - p[2]) * p[2] ** 2) / 3,
        "assumed": (1.5 - p[1]) * p[1] ** 2 / 3,
    }


def test_hill_pushes_an_unknown_label_most_where_it_is_half_sure():
    images, step = take(build(Hill, 3), [[-4.0, 0.0, 9.0]], [[U, U, U]], gradient=True)
    step.terms["assumed"].backward()
    low, middle, high = images.grad[0].tolist()
    assert middle > 5 * low > 0
    assert middle > 100 * abs(high)


def test_splc_takes_what_it_is_sure_of_for_present_after_the_first_epoch():
    p = torch.tensor([1.0, 0.0]).sigmoid().tolist()
    absent = p[0] ** 2 * cost(1.0, 0)
    present = (1 - p[1]) ** 2 * cost(0.0)  # p = 0.73 is above 0.6; the margin takes 1 off its logit
    assert terms(SPLC, epoch=0)["assumed"] == absent / 3
    assert terms(SPLC, epoch=1)["assumed"] == present / 3
    assert terms(SPLC, epoch=1, threshold=0.75)["assumed"] == absent / 3


def test_splc_never_turns_a_known_label():
    logits, labels = [[5.0, 5.0, 5.0, -5.0]], [[A, U, P, U]]
    step = take(build(SPLC, 4), logits, labels, epoch=1)[1]
    assert step.pseudo_labels["corrected"].weight.tolist() == [[0, 1, 0, 0]]
    assert step.terms["bce"] > cost(5.0, 0) / 5


def test_durand_weighs_an_image_by_the_share_of_it_that_is_known():
    logits, labels = [[0.5, 1.0, -2.0], [3.0, 1.0, 0.0]], [[P, U, A], [U, A, U]]
    whole = [cost(0.5) + cost(-2.0, 0), cost(1.0, 0)]
    g = [5.45 - 4.45 * 2 / 3, 5.45 - 4.45 / 3]
    assert terms(Durand, logits, labels) == {"bce": (g[0] * whole[0] + g[1] * whole[1]) / 3 / 2}
    per_image = terms(Durand, logits, labels, slope=1.0, offset=0.0, gamma=-1.0)
    assert per_image == {"bce": (whole[0] / 2 + whole[1]) / 2}
