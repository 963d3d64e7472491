"""SCPNet: predictions of one view, smoothed over similar class names, teach another view."""

import math

import pytest
import torch

from partlabel.core.labels import UNKNOWN
from partlabel.core.types import Progress
from partlabel.methods._second_view import second_view
from partlabel.methods.scpnet import SCPNet, name_graph
from partlabel.nn.classes import Classes
from partlabel.nn.heads.average import Average
from trunk import CHANNELS, Same
from trunk import batch as drawn

VECTORS = torch.randn(5, 4, generator=torch.Generator().manual_seed(2))
NAMES = tuple("abcde")


def built(**options):
    torch.manual_seed(0)
    head = Average(CHANNELS, Classes(NAMES, VECTORS))
    torch.nn.init.normal_(head.linear.weight)
    return SCPNet(Same(), head, **options).eval()


def test_the_graph_is_a_softmax_over_the_most_similar_names():
    graph = name_graph(VECTORS, 3 / 5, 0.2)
    for c in range(5):
        cosines = [float(torch.cosine_similarity(VECTORS[c], other, 0)) for other in VECTORS]
        near = sorted(range(5), key=lambda other: -cosines[other])[:3]
        total = sum(math.exp(cosines[other] / 0.2) for other in near)
        for other in range(5):
            expected = math.exp(cosines[other] / 0.2) / total if other in near else 0.0
            assert graph[c, other].item() == pytest.approx(expected, rel=1e-4)


def test_the_other_view_learns_smoothed_predictions_and_sure_labels():
    method, batch, time = built(threshold=0.3, top=3), drawn(), Progress(epoch=1, step=4, batch=1, batches=4)
    with torch.no_grad():
        plain = method(batch.inputs).sigmoid()
        logits = method(second_view(method, batch, time, 0.5))
    terms, found = method.step(batch, time)
    smooth = sure = costs = 0.0
    for b in range(len(plain)):
        highest = sorted(range(5), key=lambda c: -plain[b, c])[:3]
        for c in range(5):
            q = sum(float(method.graph[c, other] * plain[b, other]) for other in range(5))
            p = float(logits[b, c].sigmoid())
            smooth -= q * math.log(p) + (1 - q) * math.log(1 - p)
            chosen = c in highest and plain[b, c] > 0.3 and batch.labels[b, c] == UNKNOWN
            assert bool(found["confident"].weight[b, c]) == bool(chosen)
            sure, costs = sure + chosen, costs - chosen * math.log(p)
    assert sure > 0
    assert terms["smooth"].item() == pytest.approx(smooth / plain.numel(), rel=1e-3)
    assert terms["pseudo"].item() == pytest.approx(0.125 * float(costs / sure), rel=1e-3)


def test_the_threshold_of_a_class_follows_how_often_it_was_sure():
    method = built(top=5, threshold=0.5)
    torch.testing.assert_close(method.thresholds(), torch.full((5,), 0.5))
    labels = torch.full((4, 5), UNKNOWN, dtype=torch.int8)
    sure = torch.tensor([[0.9, 0.9, 0.1, 0.1, 0.1]] * 2 + [[0.9, 0.1, 0.1, 0.1, 0.1]] * 2)
    method.pseudo_labels(sure, labels, Progress(batch=0, batches=2))
    method.pseudo_labels(sure, labels, Progress(batch=0, batches=2, epoch=1))
    half = 0.5 * 0.5 / (2 - 0.5)
    torch.testing.assert_close(method.thresholds(), torch.tensor([0.5, half, 0.0, 0.0, 0.0]))


def test_it_needs_vectors_of_class_names():
    with pytest.raises(ValueError, match="no vectors of them: give --words"):
        SCPNet(Same(), Average(CHANNELS, Classes(NAMES)))
