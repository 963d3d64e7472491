"""DSRB against loops over images and classes."""

import pytest
import torch
from torch import nn

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.targets import Targets
from partlabel.core.types import Progress
from partlabel.methods.dsrb import DSRB
from partlabel.nn.heads import ClassOutput
from trunk import CLASSES, Same, batch, residual, ssgrl

LATE = Progress(epoch=5, step=40, batch=0, batches=8, epochs=20)
heads = pytest.mark.parametrize("head", [residual, ssgrl])


def method(head=residual, **options):
    return DSRB(Same(), head(), **options).eval()


def test_a_quarter_is_where_the_attention_is_strongest():
    attention = torch.zeros(1, 6, 5, 4)
    for c, (row, column) in enumerate(
        [(0, 1), (2, 2), (3, 0), (4, 3), (2, 1), (3, 2)]
    ):  # five rows: three above
        attention[0, c, row, column] = 1.0
    out = ClassOutput(torch.zeros(1, 6), attention=attention)
    assert method().quarters(out).tolist() == [[0, 1, 2, 3, 0, 3]]


@heads
def test_prototypes_are_the_means_of_present_features_by_quarter(head):
    model = method(head)
    groups = {}
    for seed in (1, 2, 3):
        given = batch(seed=seed)
        out = model.outputs(given.inputs)
        model.step(given, Progress())
        for b in range(6):
            for c in range(CLASSES):
                if given.labels[b, c] == PRESENT:
                    row, column = divmod(int(out.attention[b, c].argmax()), 4)
                    for kind in (2 * (row >= 2) + (column >= 2), 4):
                        groups.setdefault((c, kind), []).append(out.features[b, c])
    assert len(groups) > 2 * CLASSES
    for c in range(CLASSES):
        for kind in range(5):
            mine = groups.get((c, kind), [])
            assert model.means.count[c, kind] == len(mine)
            expected = torch.stack(mine).mean(0) if mine else torch.zeros(model.head.feature_dim)
            torch.testing.assert_close(model.means.mean[c, kind], expected)


@heads
def test_stand_ins_are_of_another_quarter_or_of_all_where_that_is_empty(head):
    model, given = method(head), batch()
    out = model.outputs(given.inputs)
    model.remember(out, out.features, given.labels)
    quarter, chosen = model.quarters(out), set()
    for seed in range(12):
        other, where = model.stand_ins(out, given.labels, LATE, torch.Generator().manual_seed(seed))
        assert (given.labels[where] == UNKNOWN).all() and (where.sum(1) <= 1).all()
        for b in range(6):
            for c in range(CLASSES):
                means = [model.means.mean[c, k] for k in range(5)]
                able = {k if model.means.count[c, k] else 4 for k in range(4) if k != quarter[b, c]}
                found = {k for k in able if torch.equal(other[b, c], means[k])}
                assert found
                chosen |= found
    assert len(chosen) > 2


def test_blending_maps_and_then_attending_is_blending_features():
    """What the paper blends, attention-weighted maps, is summed over places next: the same, and 49 times smaller."""
    generator = torch.Generator().manual_seed(0)
    ours, theirs = torch.randn(2, 3, 8, 49, generator=generator)
    kept = 0.3
    torch.testing.assert_close(
        (kept * ours + (1 - kept) * theirs).sum(2), kept * ours.sum(2) + (1 - kept) * theirs.sum(2)
    )


@heads
def test_the_prototype_term_is_that_of_what_stands_in(head):
    model, given = method(head, blends=2), batch()
    out = model.outputs(given.inputs)
    twin = method(head, blends=2)
    terms = twin.step(given, LATE).terms
    model.remember(out, out.features, given.labels)
    generator = LATE.generator()
    model.contrast(out.features, given.labels, generator)  # which draws first
    other, where = model.stand_ins(out, given.labels, LATE, generator)
    features, targets = out.features.clone(), given.labels.float()
    features[where] = 0.5 * features[where] + 0.5 * other[where]
    targets[where] = 0.5
    said = targets != UNKNOWN
    expected = nn.functional.binary_cross_entropy_with_logits(
        model.head.classify(features)[said], targets[said]
    )
    torch.testing.assert_close(terms["bce_prototype"], expected)


def test_an_image_of_which_all_is_known_keeps_its_labels():
    model, given = method(), batch(fill=PRESENT)
    terms = model.step(given, LATE).terms
    torch.testing.assert_close(terms["bce_prototype"], terms["bce"])
    assert torch.equal(Targets.known(given.labels).weight, torch.ones(6, CLASSES))


def test_a_head_without_attention_is_refused():
    model = method()
    with pytest.raises(
        ValueError, match=r"DSRB needs the position of a class in an image, and the head Residual has no"
    ):
        model.quarters(ClassOutput(torch.zeros(1, 2)))
