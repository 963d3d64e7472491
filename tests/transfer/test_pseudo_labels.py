import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Targets
from partlabel.nn.pairs import symmetric
from partlabel.transfer import pseudo_labels
from partlabel.transfer.feature_bank import FeatureMemory


def some(seed, images=4, classes=5):
    generator = torch.Generator().manual_seed(seed)
    pairs = torch.rand(images, classes * (classes - 1) // 2, generator=generator)
    return pairs, torch.randint(-1, 2, (images, classes), generator=generator).to(torch.int8)


def from_cooccurrence(pairs, labels, threshold):
    return pseudo_labels.accept(pseudo_labels.cooccurrence_score(pairs, labels), labels, threshold)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1))
def test_cooccurrence_votes_equal_a_double_loop(seed, threshold):
    pairs, labels = some(seed)
    matrix = symmetric(pairs, 5)
    found = from_cooccurrence(pairs, labels, threshold)
    for b in range(4):
        present = [j for j in range(5) if labels[b, j] == PRESENT]
        for c in range(5):
            score = sum(matrix[b, c, j].item() for j in present) / max(len(present), 1)
            if abs(score - threshold) < 1e-6:
                continue
            accepted = labels[b, c] == UNKNOWN and score >= threshold
            assert found.weight[b, c] == accepted and found.value[b, c] == accepted


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000))
def test_the_rows_of_present_classes_give_the_same_votes_as_all_pairs(seed):
    pairs, labels = some(seed)
    rows = (labels == PRESENT).any(0).nonzero().squeeze(1)
    by_rows = pseudo_labels.cooccurrence_score_by_rows(symmetric(pairs, 5)[:, rows], rows, labels)
    torch.testing.assert_close(by_rows, pseudo_labels.cooccurrence_score(pairs, labels))


def test_an_image_with_nothing_known_present_gets_no_vote():
    pairs, labels = some(0)
    labels[labels == PRESENT] = UNKNOWN
    assert from_cooccurrence(pairs, labels, 0.01).weight.sum() == 0


def test_similar_features_are_called_present_and_others_left_unknown():
    memory = FeatureMemory(2, 3, 2)
    memory.add(torch.tensor([[[1.0, 0.0], [0.0, 1.0]]]), torch.ones(1, 2, dtype=torch.int8))
    features = torch.tensor([[[2.0, 0.1], [1.0, 0.0]], [[5.0, 0.0], [0.0, 3.0]]])
    labels = torch.tensor([[-1, -1], [0, -1]], dtype=torch.int8)
    found = pseudo_labels.accept(memory.similarity(features), labels, 0.9)
    assert found.weight.tolist() == [[1, 0], [0, 1]]


def test_a_threshold_may_differ_by_class():
    pairs, labels = torch.full((1, 3), 0.5), torch.tensor([[1, -1, -1]], dtype=torch.int8)
    found = from_cooccurrence(pairs, labels, torch.tensor([0.0, 0.4, 0.6]))
    assert found.weight.tolist() == [[0, 1, 0]]


def test_known_labels_filled_with_pseudo_labels_keep_what_is_known():
    labels = torch.tensor([[1, 0, -1, -1]], dtype=torch.int8)
    pseudo = Targets.present(torch.tensor([[True, True, True, False]]))
    filled = Targets.known(labels).fill(pseudo)
    assert filled.value.tolist() == [[1, 0, 1, 0]]
    assert filled.weight.tolist() == [[1, 1, 1, 0]]


def test_the_threshold_is_the_lowest_that_keeps_the_precision():
    """0.9 and 0.8 are right, 0.7 wrong, 0.6 right: 3 of 4 from 0.6 on; below that only wrong ones."""
    score = torch.tensor([[0.9, 0.8], [0.7, 0.6], [0.5, 0.4], [0.95, 0.99]])
    labels = torch.tensor([[1, 1], [0, 1], [0, 0], [-1, -1]], dtype=torch.int8)
    found = [pseudo_labels.threshold_at(score, labels, precision, 2).item() for precision in (1.0, 0.75, 0.5)]
    assert found == pytest.approx([0.8, 0.6, 0.4])


def test_no_threshold_splits_equal_scores_or_rests_on_fewer_labels_than_asked_for():
    score = torch.tensor([[0.9], [0.9], [0.1]])
    labels = torch.tensor([[1], [0], [0]], dtype=torch.int8)
    assert pseudo_labels.threshold_at(score, labels, 0.9, 1) == float("inf")
    assert pseudo_labels.threshold_at(score, labels, 0.5, 3) == float("inf")
    assert pseudo_labels.threshold_at(score, labels, 0.5, 2).item() == pytest.approx(0.9)
    assert pseudo_labels.threshold_at(score, torch.full_like(labels, -1), 0.5, 1) == float("inf")
