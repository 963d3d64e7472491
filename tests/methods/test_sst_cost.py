"""What SST does not compute, and that leaving it out changes nothing."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from partlabel.core.labels import UNKNOWN
from partlabel.core.types import Batch, Progress
from partlabel.methods.sst import SST
from partlabel.nn.classes import Classes
from partlabel.nn.factored_pair_head import FactoredPairHead
from partlabel.nn.heads.ssgrl import SSGRL
from partlabel.nn.pair_head import PairHead
from partlabel.nn.pairs import pair_targets

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from literal import LiteralSST

CLASSES, CHANNELS = 6, 5
LATE = Progress(epoch=9, step=3)


def some_classes():
    graph = torch.rand(CLASSES, CLASSES)
    return Classes(tuple("abcdef"), torch.randn(CLASSES, 4), graph / graph.sum(1, keepdim=True))


def build(**options):
    torch.manual_seed(0)
    head = SSGRL(CHANNELS, some_classes(), dim=8, attention_dim=7, output_dim=9)
    small = {"pair_dim": 4, "pair_hidden_dim": 6, "memory_size": 3, "intra_threshold": 0.4}
    return SST(nn.Identity(), head, threshold_floor=0.0, **(small | options))


def batch(known=0.6):
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 2, (4, CLASSES), generator=generator).to(torch.int8)
    labels[torch.rand(4, CLASSES, generator=generator) > known] = UNKNOWN
    return Batch(torch.randn(4, CHANNELS, 3, 3, generator=generator), labels, torch.arange(4))


def test_the_published_algebra_gives_the_same_terms_and_gradients():
    sst = build(unknown_pairs_are_absent=True, count_empty_slots=True).double()
    given = batch()._replace(inputs=batch().inputs.double())
    found = []
    for terms in (lambda: sst.step(given, Progress(epoch=5)).terms, lambda: LiteralSST(sst).terms(given)):
        sst.zero_grad()
        sst.memory.features.zero_()
        sst.memory.count.zero_()
        values = terms()
        sum(values.values()).backward()
        found.append((values, {name: p.grad for name, p in sst.named_parameters()}))
    (ours, our_gradients), (theirs, gradients) = found
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name].double(), value.double(), rtol=1e-5, atol=1e-7)
    for name, gradient in gradients.items():
        torch.testing.assert_close(our_gradients[name], gradient, rtol=1e-5, atol=1e-7)


def refuse(*_):
    raise AssertionError("pairs were computed")


@pytest.mark.parametrize("pair_rank", [0, 2])
def test_prediction_computes_no_pairs(monkeypatch, pair_rank):
    sst, given = build(pair_rank=pair_rank).eval(), batch()
    for kind in (PairHead, FactoredPairHead):
        monkeypatch.setattr(kind, "forward", refuse)
        monkeypatch.setattr(kind, "rows", refuse)
    assert sst(given.inputs).shape == sst.validate(given).shape == (4, CLASSES)


@pytest.mark.parametrize("known", [0.2, 0.6, 1.0])
@pytest.mark.parametrize("pair_block", [1, 1000])
def test_the_rows_of_known_classes_give_the_loss_of_all_pairs(monkeypatch, known, pair_block):
    """The factored pair head never looks at all pairs; here they are few enough to."""
    monkeypatch.setattr("partlabel.methods._pair_transfer.FACTORED", 1)
    sst, given = build(pair_rank=2, pair_block=pair_block), batch(known)
    features = torch.randn(4, CLASSES, 8)
    every = sst.pair_loss(sst.pair_logits(features), pair_targets(given.labels))
    by_rows = sst._pair_loss(features, None, given.labels)
    torch.testing.assert_close(by_rows, every)
    gradients = [torch.autograd.grad(loss, list(sst.pairs.parameters())) for loss in (by_rows, every)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("pair_rank", [0, 2])
def test_pseudo_labels_need_only_the_rows_of_present_classes(monkeypatch, pair_rank):
    sst, given = build(pair_rank=pair_rank), batch()
    features = torch.randn(4, CLASSES, 8)
    every = sst.transfer(features, sst.pair_logits(features), given, LATE)["intra"]
    monkeypatch.setattr(type(sst.pairs), "forward", refuse)
    by_rows = sst.transfer(features, None, given, LATE)["intra"]
    assert torch.equal(by_rows.weight, every.weight) and every.weight.any()


@pytest.mark.parametrize("options", [{"pair_rank": 2}, {"pair_weight": 0.0}])
def test_where_nothing_is_known_no_pair_costs_or_votes(options):
    sst, given = build(**options), batch(known=-1.0)
    step = sst.step(given, LATE)
    sum(step.terms.values()).backward()
    assert step.terms["cooccurrence"] == 0 and not step.pseudo_labels["intra"].weight.any()


def test_without_a_loss_for_pairs_their_head_is_not_trained_and_votes_all_the_same(monkeypatch):
    monkeypatch.setattr(PairHead, "forward", refuse)
    sst = build(pair_weight=0.0)
    step = sst.step(batch(), LATE)
    sum(step.terms.values()).backward()
    assert step.terms["cooccurrence"] == 0 and step.pseudo_labels["intra"].weight.any()
    assert all(p.grad is None and not p.requires_grad for p in sst.pairs.parameters())


def test_a_factored_pair_head_cannot_be_taught_of_pairs_that_nobody_knows():
    with pytest.raises(ValueError, match=r"pair_rank computes only the pairs of known classes.*leave one"):
        build(pair_rank=2, unknown_pairs_are_absent=True)


@pytest.mark.parametrize("pair_rank", [0, 2])
def test_half_precision_loses_nothing_but_digits(pair_rank):
    found = []
    for half in (False, True):
        sst = build(pair_rank=pair_rank)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            terms = sst.step(batch(), LATE).terms
        terms["bce"].backward(retain_graph=True)
        terms["cooccurrence"].backward()
        found.append((terms, [p.grad for p in sst.parameters() if p.grad is not None]))
    (whole, gradients), (halves, half_gradients) = found
    for name in ("bce", "cooccurrence", "contrast"):
        torch.testing.assert_close(halves[name].float(), whole[name], rtol=0.05, atol=0.02)
    for ours, theirs in zip(half_gradients, gradients, strict=True):
        assert ours.isfinite().all()
        assert (ours - theirs).norm() < 0.1 * theirs.norm() + 1e-3
