"""Thresholds of SST calibrated on validation, beside the schedule of the paper."""

import pytest
import torch
from torch import nn

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.types import Batch, Progress
from partlabel.methods.sst import SST
from partlabel.nn.classes import Classes
from partlabel.nn.heads.residual import Residual


class Same(nn.Module):
    def forward(self, images):
        return images


def method(**options):
    head = Residual(6, Classes(("a", "b", "c")))
    head.weight.data.fill_(1.0)
    return SST(Same(), head, pair_dim=4, pair_hidden_dim=4, start_epoch=0, **options)


def images(n=90, known=1.0):
    """Class c lights channel c of those that show it; the other channels are noise."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(n, 3, generator=generator) < 0.4
    maps = torch.rand(n, 6, 1, 1, generator=generator)
    maps[:, :3, 0, 0] += 30 * truth
    hidden = torch.rand(n, 3, generator=generator) > known
    return Batch(maps, truth.to(torch.int8).masked_fill(hidden, UNKNOWN), torch.arange(n)), truth


def test_before_validation_no_vote_is_accepted():
    batch, _ = images(known=0.5)
    found = method(precision=0.9).step(batch, Progress()).pseudo_labels
    assert {name: float(pseudo.weight.sum()) for name, pseudo in found.items()} == {"intra": 0, "cross": 0}


def test_after_validation_similar_features_count_with_about_the_precision_asked_for():
    model = method(precision=0.9)
    learned, truth = images(known=0.5)
    model.train().step(learned, Progress())
    model.eval()
    val, _ = images(200)
    model.validate(val)
    assert model.end_validation() is None
    assert 0 < model.thresholds["cross"].value < 1
    pseudo = model.train().step(learned, Progress(epoch=1)).pseudo_labels["cross"]
    accepted = pseudo.weight > 0
    assert accepted.sum() > 10
    assert truth[accepted].float().mean() > 0.8


@pytest.mark.parametrize("pair_rank", [0, 2])
def test_after_validation_votes_within_an_image_are_judged_as_those_of_unknown_labels(monkeypatch, pair_rank):
    """Which classes come together is known here: .9 for those that do, .2 for the others, whatever else is known."""
    model = method(precision=0.9, pair_rank=pair_rank)
    val, truth = images(200, known=0.5)
    together = (truth[:, :, None] & truth[:, None]).float() * 0.7 + 0.2
    first, second = torch.triu_indices(3, 3, 1)
    monkeypatch.setattr(model.pairs, "forward", lambda features: together[:, first, second].logit())
    monkeypatch.setattr(model.pairs, "rows", lambda *parts: together[:, parts[-1]].logit())
    model.eval().validate(val)
    model.end_validation()
    assert model.thresholds["intra"].value.item() == pytest.approx(0.9, abs=1e-4)
    lone = (val.labels == PRESENT).sum(1) == 1
    assert (lone & (val.labels == ABSENT).any(1)).any()


def test_without_a_precision_the_schedule_of_the_paper_stands():
    model = method()
    model.validate(images(10)[0])
    assert model.end_validation() is None
    falling = [
        [round(model.thresholds[name].at(Progress(epoch=epoch)), 3) for name in ("intra", "cross")]
        for epoch in (0, 4, 30)
    ]
    assert falling == [[0.95, 0.95], [0.85, 0.85], [0.75, 0.75]]
