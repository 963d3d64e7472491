"""Decisions by class proportions against loops over labels, and by epochs against whole training sets."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from partlabel.core.labels import ABSENT, UNKNOWN
from partlabel.core.types import Batch, Progress
from partlabel.transfer.class_proportions import known_proportion
from partlabel.transfer.pseudo_labels import by_proportion, decide
from partlabel.transfer.thresholds import AtPrecision, ByProportion, Falling, chosen


def some(seed, images=12, classes=3, levels=5):
    """Scores with many equal ones, and labels."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(-levels, levels, (images, classes), generator=generator) / 4
    return scores, torch.randint(-1, 2, (images, classes), generator=generator).to(torch.int8)


def by_loop(scores, labels, proportion, share_present, share_absent):
    """The value and weight of every label: labels one by one from the top, and from the bottom, equals together."""
    decided = {}
    for c in range(scores.shape[1]):
        unknown = [i for i in range(len(scores)) if labels[i, c] == UNKNOWN]
        wanted = round(share_present * float(proportion[c]) * len(unknown))
        others = min(round(share_absent * (1 - float(proportion[c])) * len(unknown)), len(unknown) - wanted)
        for i in unknown:
            at_least = sum(scores[j, c] >= scores[i, c] for j in unknown)
            at_most = sum(scores[j, c] <= scores[i, c] for j in unknown)
            if at_least <= wanted:
                decided[i, c] = 1.0
            elif at_most <= others:
                decided[i, c] = 0.0
    return decided


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 1000),
    st.lists(st.sampled_from([0.0, 0.125, 0.25, 0.375, 0.625, 1.0]), min_size=3, max_size=3),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_decisions_by_proportion_equal_a_loop_over_labels(seed, proportion, present, absent):
    scores, labels = some(seed)
    found = by_proportion(scores, labels, torch.tensor(proportion), present, absent)
    expected = by_loop(scores, labels, proportion, present, absent)
    assert {tuple(at.tolist()) for at in found.weight.nonzero()} == expected.keys()
    assert all(found.value[at] == value for at, value in expected.items())


def test_of_four_unknown_labels_as_many_are_present_as_the_proportion_says():
    scores = torch.tensor([[0.9], [0.1], [-3.0], [0.2], [99.0]])
    labels = torch.tensor([[-1], [-1], [-1], [-1], [0]], dtype=torch.int8)
    all_decided = by_proportion(scores, labels, torch.tensor([0.5]))
    assert all_decided.value[:, 0].tolist()[:4] == [1, 0, 0, 1]
    assert all_decided.weight[:, 0].tolist() == [1, 1, 1, 1, 0]
    half = by_proportion(scores, labels, torch.tensor([0.5]), 0.5, 0.5)
    assert half.weight[:, 0].tolist() == [1, 0, 1, 0, 0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 3))
def test_decisions_depend_on_the_order_of_scores_alone(seed, scale):
    scores, labels = some(seed)
    proportion = torch.tensor([0.2, 0.4, 0.7])
    ours = by_proportion(scores, labels, proportion)
    theirs = by_proportion((scores * scale).exp() + 5, labels, proportion)
    assert torch.equal(ours.weight, theirs.weight)
    assert torch.equal(ours.value * ours.weight, theirs.value * theirs.weight)


def test_proportions_are_shares_of_known_labels_with_one_label_more():
    labels = torch.tensor([[1, 0, -1], [0, 0, -1], [1, -1, -1]], dtype=torch.int8)
    overall = 2 / 5
    expected = [(2 + overall) / 4, (0 + overall) / 3, overall]
    assert known_proportion(labels).tolist() == pytest.approx(expected)


def test_given_the_present_classes_per_image_they_are_divided_by_known_present_labels():
    labels = torch.tensor([[1, -1, 1], [1, -1, -1], [1, 1, -1]], dtype=torch.int8)
    assert known_proportion(labels, positives=1.0).tolist() == pytest.approx([0.6, 0.2, 0.2])
    assert known_proportion(labels, positives=2.5).tolist() == pytest.approx([1.0, 0.5, 0.5])


def test_without_absent_labels_the_error_says_what_to_give():
    labels = torch.tensor([[1, -1], [-1, 1]], dtype=torch.int8)
    with pytest.raises(ValueError, match=r"no known label is absent.*--method\.positives 2\.5"):
        known_proportion(labels)


def epochs(rule, scores, labels, count=1):
    """Show a training set in batches of five."""
    said = torch.ones_like(labels, dtype=torch.bool)
    parts = torch.arange(len(labels)).split(5)
    for _ in range(count):
        for number, rows in enumerate(parts):
            batch = Batch(torch.zeros(len(rows), 1), labels[rows], rows)
            rule.see(scores[rows], said[rows], batch, Progress(batch=number, batches=len(parts)))
    return rule


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 3))
def test_thresholds_of_the_last_epoch_decide_as_ranks_over_the_training_set(seed, count):
    scores, labels = some(seed)
    labels[0] = ABSENT  # so that proportions can be estimated
    rule = epochs(ByProportion(3, 0.75, 0.5), scores, labels, count)
    found = decide(scores, labels, rule.cutoffs())
    whole = by_proportion(scores, labels, known_proportion(labels), 0.75, 0.5)
    assert torch.equal(found.weight, whole.weight) and torch.equal(found.value, whole.value)


def test_before_the_end_of_an_epoch_nothing_is_decided():
    scores, labels = some(0)
    rule = ByProportion(3)
    batch = Batch(scores, labels, torch.arange(12))
    rule.see(scores, torch.ones_like(labels, dtype=torch.bool), batch, Progress(batch=0, batches=2))
    assert decide(scores, labels, rule.cutoffs()).weight.sum() == 0


def test_labels_without_evidence_are_neither_decided_nor_counted():
    scores = torch.tensor([[9.0], [9.0], [0.5], [0.4], [0.0], [0.0]])
    labels = torch.tensor([[-1], [1], [-1], [-1], [1], [0]], dtype=torch.int8)
    said = torch.tensor([[False], [False], [True], [True], [True], [True]])
    rule = ByProportion(1, share_absent=0.0)
    rule.see(scores, said, Batch(scores, labels, torch.arange(6)), Progress())
    assert (
        rule.lowest_present.item() == 0.5
    )  # of two with evidence, half: one of the two known ones is present


def test_a_saved_rule_continues_in_the_middle_of_an_epoch():
    scores, labels = some(3)
    labels[0] = ABSENT
    first, second = torch.arange(12).split(6)
    said = torch.ones(6, 3, dtype=torch.bool)
    rule, again = ByProportion(3), ByProportion(3)
    rule.see(scores[first], said, Batch(scores[first], labels[first], first), Progress(batches=2))
    again.load_state_dict(rule.state_dict())
    for each in (rule, again):
        each.see(
            scores[second], said, Batch(scores[second], labels[second], second), Progress(batch=1, batches=2)
        )
    assert torch.equal(rule.lowest_present, again.lowest_present)
    assert torch.equal(rule.highest_absent, again.highest_absent)


def test_thresholds_are_chosen_by_what_is_given():
    falling = Falling(0.9, 0.1, 0.5, 0)
    assert chosen(falling, 3, None, None) is falling
    assert isinstance(chosen(falling, 3, 0.8, None), AtPrecision)
    assert isinstance(chosen(falling, 3, None, 1.0), ByProportion)
    with pytest.raises(ValueError, match="precision and proportion both set the thresholds"):
        chosen(falling, 3, 0.8, 1.0)
    with pytest.raises(ValueError, match="from 0 to 1"):
        chosen(falling, 3, None, 1.5)
