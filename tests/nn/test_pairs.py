import pytest
import torch

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.nn import pair_head, tiles
from partlabel.nn.factored_pair_head import FactoredPairHead
from partlabel.nn.pair_head import PairHead
from partlabel.nn.pairs import (
    known_classes,
    pair_index,
    pair_number,
    pair_targets,
    row_targets,
    symmetric,
)


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


@pytest.mark.parametrize("cached", [1, 40], ids=["a pair a tile", "some pairs a tile"])
@pytest.mark.parametrize("kept", [0, 10**6], ids=["folded again", "kept"])
def test_the_gradient_written_out_is_that_of_finite_differences(monkeypatch, cached, kept):
    monkeypatch.setattr(tiles, "CACHED", cached)
    monkeypatch.setattr(pair_head, "KEPT", kept)
    torch.manual_seed(0)
    head = PairHead(5, 3, 2, 4, pair_block=6).double()
    features = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *_: head(features), (features, *head.parameters()))


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


def test_the_factored_pair_head_equals_its_equation_for_every_pair():
    torch.manual_seed(0)
    head = FactoredPairHead(num_classes=4, feature_dim=5, dim=3, rank=2)
    features = torch.randn(2, 4, 5)
    g, (u, v), (p, q) = head.fc1(features), head.scale, head.shift
    expected = [
        ((u[i] * head.first(g[:, i]) + p[i]) * (v[j] * head.second(g[:, j]) + q[j])).sum(1) + head.bias
        for i, j in pair_index(4).T.tolist()
    ]
    torch.testing.assert_close(head(features), torch.stack(expected, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "head", [PairHead(5, 4, 3, 6, pair_block=7), FactoredPairHead(5, 4, 3, 2)], ids=["exact", "factored"]
)
def test_rows_are_the_pairs_they_stand_for(head):
    features, rows = torch.randn(2, 5, 4), torch.tensor([3, 0, 4])
    matrix = symmetric(head(features), 5)
    found = head.rows(*head.sides(features), rows)
    for r, i in enumerate(rows.tolist()):
        for j in set(range(5)) - {i}:
            torch.testing.assert_close(found[:, r, j], matrix[:, i, j], rtol=1e-4, atol=1e-5)


def test_the_number_of_a_pair_is_its_place_in_the_order():
    first, second = pair_index(7)
    assert pair_number(first, second, 7).tolist() == list(range(21))


@pytest.mark.parametrize("seed", range(5))
def test_the_rows_of_known_classes_hold_what_labels_say_of_pairs_each_once(seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, 2, (3, 6), generator=generator).to(torch.int8)
    labels[torch.rand(3, 6, generator=generator) < 0.5] = UNKNOWN
    rows, every = known_classes(labels), pair_targets(labels)
    by_rows, seen = row_targets(labels, rows), torch.zeros_like(every.weight)
    for r, i in enumerate(rows.tolist()):
        for j in set(range(6)) - {i}:
            pair = pair_number(torch.tensor(min(i, j)), torch.tensor(max(i, j)), 6)
            seen[:, pair] += by_rows.weight[:, r, j]
            assert torch.equal(by_rows.value[:, r, j], every.value[:, pair])
        assert (by_rows.weight[:, r, i] == 0).all()
    assert torch.equal(seen, every.weight)
