"""The parts of the SSGRL head against their literal equations."""

import pytest
import torch

from partlabel.nn import gated_graph, tiles
from partlabel.nn.classes import Classes
from partlabel.nn.gated_graph import GatedGraph
from partlabel.nn.heads.average import Average
from partlabel.nn.heads.ssgrl import SSGRL
from partlabel.nn.per_class_linear import PerClassLinear
from partlabel.nn.semantic_decoupling import SemanticDecoupling


def test_decoupling_equals_a_loop_over_images_classes_and_places():
    torch.manual_seed(0)
    part = SemanticDecoupling(dim=5, word_dim=4, attention_dim=6)
    image, words = torch.randn(2, 5, 2, 3), torch.randn(3, 4)
    features, attention = part(image, words)
    for b in range(2):
        for c in range(3):
            places = [image[b, :, y, x] for y in range(2) for x in range(3)]
            scores = torch.stack(
                [part.fc4(part.fc3(torch.tanh(part.fc1(f) * part.fc2(words[c]))))[0] for f in places]
            )
            weights = scores.softmax(0)
            torch.testing.assert_close(attention[b, c].flatten(), weights, rtol=1e-4, atol=1e-6)
            expected = sum(w * f for w, f in zip(weights, places, strict=True))
            torch.testing.assert_close(features[b, c], expected, rtol=1e-4, atol=1e-5)


def test_decoupling_in_blocks_has_the_same_gradients():
    results = []
    for block in (100, 2):
        torch.manual_seed(0)
        part = SemanticDecoupling(5, 4, 6, class_block=block)
        features, _ = part(torch.randn(2, 5, 2, 3), torch.randn(3, 4))
        features.square().sum().backward()
        results.append([features, *(p.grad for p in part.parameters())])
    for whole, blocked in zip(*results, strict=True):
        torch.testing.assert_close(blocked, whole, rtol=1e-4, atol=1e-5)


def test_the_graph_equals_the_gates_written_out():
    torch.manual_seed(0)
    a, dim = torch.rand(3, 3), 4
    part = GatedGraph(dim, a, steps=2)
    w, b = part.message.weight.split(dim), part.message.bias.split(dim)
    u, ub = part.gates.weight.split(dim), part.gates.bias.split(dim)
    h = start = torch.randn(2, 3, dim)
    for _ in range(2):
        m = torch.cat([torch.stack([a @ each for each in h]), torch.stack([a.T @ each for each in h])], -1)
        z = (m @ w[0].T + b[0] + h @ u[0].T + ub[0]).sigmoid()
        r = (m @ w[1].T + b[1] + h @ u[1].T + ub[1]).sigmoid()
        candidate = torch.tanh(m @ w[2].T + b[2] + part.candidate(r * h))
        h = (1 - z) * h + z * candidate
    torch.testing.assert_close(part(start), h, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kept", [0, 10**6], ids=["computed again", "kept"])
def test_the_gradient_of_the_graph_is_that_of_finite_differences(monkeypatch, kept):
    monkeypatch.setattr(gated_graph, "KEPT", kept)
    torch.manual_seed(0)
    part = GatedGraph(3, torch.rand(4, 4), steps=2).double()
    state = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *_: part(state), (state, *part.parameters()))


@pytest.mark.parametrize("cached", [1, 60], ids=["a class a tile", "some classes a tile"])
def test_the_gradient_of_the_attention_is_that_of_finite_differences(monkeypatch, cached):
    monkeypatch.setattr(tiles, "CACHED", cached)
    torch.manual_seed(0)
    part = SemanticDecoupling(3, 2, 4).double()
    image = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    words = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *_: part(image, words), (image, words, *part.parameters()))


def test_the_reduction_is_its_convolution_and_normalisation():
    torch.manual_seed(0)
    head = SSGRL(6, Classes(("a", "b")), dim=4, attention_dim=3, output_dim=5)
    maps = torch.randn(3, 6, 2, 5)
    torch.testing.assert_close(head._reduced(maps), head.reduce(maps), rtol=1e-4, atol=1e-5)


def test_each_class_has_a_linear_unit_of_its_own():
    part = PerClassLinear(3, 4)
    features = torch.randn(2, 3, 4)
    expected = [[features[b, c] @ part.weight[c] + part.bias[c] for c in range(3)] for b in range(2)]
    torch.testing.assert_close(part(features), torch.stack([torch.stack(row) for row in expected]))


def test_a_head_without_vectors_learns_them_and_without_a_graph_keeps_classes_apart():
    head = SSGRL(6, Classes(("a", "b")), dim=4, attention_dim=3, output_dim=5)
    assert head.vectors.requires_grad and torch.equal(head.graph.graph, torch.eye(2))


def test_the_average_head_is_a_linear_map_of_the_standardised_mean():
    torch.manual_seed(0)
    head = Average(4, Classes(("a", "b", "c")))
    maps = torch.randn(16, 4, 3, 3) * 5 + 2
    torch.nn.init.normal_(head.linear.weight)
    pooled = maps.mean((2, 3))
    standard = (pooled - pooled.mean(0)) / (pooled.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(head(maps).logits, standard @ head.linear.weight.T, rtol=1e-4, atol=1e-5)


def test_a_graph_without_steps_changes_nothing_and_has_gradients_of_zero():
    """CALDNR's trunk; what was not filled was whatever lay in memory."""
    graph = GatedGraph(8, torch.eye(3), steps=0)
    state = torch.randn(2, 3, 8, requires_grad=True)
    out = graph(state)
    assert torch.equal(out, state)
    out.sum().backward()
    assert torch.equal(state.grad, torch.ones_like(state))
    assert all(p.grad is None or not p.grad.any() for p in graph.parameters())
