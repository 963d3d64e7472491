"""Between candidates that cross-validation cannot tell apart, the decision table decides."""

import torch

from partlabel.core.labels import PRESENT
from partlabel.selection.candidates import Candidate, Rule
from partlabel.selection.choice import preferred


def _candidate(method, logits, head="covariance"):
    return Candidate(Rule(method), head, 0.1, 0.0, 0.0, {}, logits)


def _problem(classes=12):
    random = torch.Generator().manual_seed(0)
    truth = (torch.rand(400, classes, generator=random) < 0.2).to(torch.int8)
    labels = torch.where(
        torch.rand(400, classes, generator=random) < 0.3, truth, torch.tensor(-1, dtype=torch.int8)
    )
    logits = torch.randn(400, classes, generator=random) + 2 * (truth == PRESENT)
    return logits, labels, torch.randn(400, classes, generator=random)


def test_a_candidate_that_is_as_good_gives_way_to_the_method_that_suits_the_labels():
    logits, labels, noise = _problem()
    votes = _candidate("soft_sst", logits + 0.02 * noise)
    assert preferred([_candidate("bce", logits), votes], labels, "covariance") is votes


def test_a_candidate_that_is_clearly_better_stays():
    logits, labels, noise = _problem()
    best = _candidate("bce", logits)
    assert preferred([best, _candidate("soft_sst", logits + 3 * noise)], labels, "covariance") is best


def test_nothing_is_preferred_where_the_labels_are_of_another_kind():
    logits, labels, noise = _problem()
    labels[labels == 0] = -1
    best = _candidate("assume_negative", logits)
    assert preferred([best, _candidate("soft_sst", logits + 0.02 * noise)], labels, "covariance") is best


def test_the_first_head_is_taken_where_it_is_within_a_standard_error_of_the_best():
    logits, labels, noise = _problem()
    best = _candidate("bce", logits, "average")
    alike, worse = _candidate("bce", logits + 0.02 * noise), _candidate("bce", logits + 3 * noise)
    assert preferred([best, alike], labels, "covariance") is alike
    assert preferred([best, worse], labels, "covariance") is best
