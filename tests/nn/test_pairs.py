import pytest
import torch

from partlabel.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.nn.pairs import PairHead, pair_index, pair_targets, symmetric


def test_the_pair_head_equals_the_literal_equation_for_every_pair():
    torch.manual_seed(0)
    head = PairHead(num_classes=4, feature_dim=5, dim=3, hidden_dim=6)
    features = torch.randn(2, 4, 5)
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    assert pair_index(4).T.tolist() == [list(pair) for pair in pairs]
    g = head.fc1(features)
    expected = torch.stack(
        [
            head.fc3(head.fc2(torch.cat([g[:, i], g[:, j]], -1)).relu()) @ head.classifier.weight[k]
            + head.classifier.bias[k]
            for k, (i, j) in enumerate(pairs)
        ],
        1,
    )
    torch.testing.assert_close(head(features), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pair_block", [1, 4, 5])
def test_blocks_change_neither_logits_nor_gradients(pair_block):
    results = []
    for block in (100, pair_block):
        torch.manual_seed(0)
        head = PairHead(4, 5, 3, 6, pair_block=block)
        features = torch.randn(2, 4, 5, requires_grad=True)
        logits = head(features)
        logits.square().sum().backward()
        results.append([logits, features.grad, *(p.grad for p in head.parameters())])
    for whole, blocked in zip(*results, strict=True):
        torch.testing.assert_close(blocked, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("num_classes", [1, 2])
def test_one_class_has_no_pairs_and_two_have_one(num_classes):
    head = PairHead(num_classes, 5, 3, 6)
    assert head(torch.randn(2, num_classes, 5)).shape == (2, num_classes - 1)


def test_the_symmetric_matrix_has_each_pair_twice_and_the_diagonal():
    matrix = symmetric(torch.tensor([[0.1, 0.2, 0.3]]), 3)
    expected = torch.tensor([[1, 0.1, 0.2], [0.1, 1, 0.3], [0.2, 0.3, 1]])
    torch.testing.assert_close(matrix[0], expected)


@pytest.mark.parametrize(
    ("first", "second", "value", "weight", "authors_weight"),
    [
        (PRESENT, PRESENT, 1, 1, 1),
        (PRESENT, ABSENT, 0, 1, 1),
        (ABSENT, ABSENT, 0, 1, 1),
        (ABSENT, UNKNOWN, 0, 1, 1),
        (PRESENT, UNKNOWN, 0, 0, 1),
        (UNKNOWN, UNKNOWN, 0, 0, 1),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_what_two_labels_say_of_their_pair(first, second, value, weight, authors_weight, swapped):
    labels = torch.tensor([[second, first] if swapped else [first, second]], dtype=torch.int8)
    ours, theirs = pair_targets(labels), pair_targets(labels, unknown_pairs_are_absent=True)
    assert (ours.value.item(), ours.weight.item()) == (value, weight)
    assert (theirs.value.item(), theirs.weight.item()) == (value, authors_weight)
