"""CALDNR against loops over labels."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cosine_similarity

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.types import Progress
from partlabel.methods.caldnr import CALDNR
from trunk import CLASSES, Same, batch, residual, ssgrl

LATE = Progress(epoch=6, step=40, batch=0, batches=8, epochs=20)
heads = pytest.mark.parametrize("head", [residual, ssgrl])


def method(head=residual, **options):
    return CALDNR(Same(), head(), **options).eval()


def lived(head, **options):
    """A method after a few steps, and what a loop says of usual similarities."""
    model, kept, usual = method(head, **options), [[] for _ in range(CLASSES)], {}
    for seed in (1, 2, 3):
        given = batch(seed=seed)
        features = model.outputs(given.inputs).features.detach()
        model.step(given, Progress())
        for b in range(6):
            for c in range(CLASSES):
                if kept[c]:
                    similar = torch.stack(
                        [cosine_similarity(features[b, c], k, dim=0) for k in kept[c]]
                    ).mean()
                    usual.setdefault((c, bool(given.labels[b, c] == PRESENT)), []).append(similar)
        for b in range(6):
            for c in range(CLASSES):
                if given.labels[b, c] == PRESENT:
                    kept[c].append(features[b, c])
    return model, kept, usual


@heads
def test_usual_similarities_are_of_labels_that_are_not_yet_remembered(head):
    model, _, usual = lived(head)
    assert len(usual) == 2 * CLASSES
    for (c, present), similar in usual.items():
        torch.testing.assert_close(model.usual.mean[c, int(not present), 0], torch.stack(similar).mean())


@heads
def test_the_loss_is_that_of_a_loop(head):
    model, kept, usual = lived(head, threshold=0.1, threshold_step=0.02, threshold_floor=0.05)
    given = batch(8, seed=4)
    out = model.outputs(given.inputs)
    usual = {key: list(similar) for key, similar in usual.items()}
    similarity = torch.zeros(8, CLASSES)
    for b in range(8):
        for c in range(CLASSES):
            similarity[b, c] = torch.stack(
                [cosine_similarity(out.features[b, c].detach(), k, dim=0) for k in kept[c]]
            ).mean()
            usual[c, bool(given.labels[b, c] == PRESENT)].append(similarity[b, c].detach())
    total, weights, found = 0.0, 0.0, 0
    for b in range(8):
        for c in range(CLASSES):
            label, s = int(given.labels[b, c]), float(similarity[b, c])
            margin = max(0.08, float(torch.stack(usual[c, True]).mean()))
            low = (float(torch.stack(usual[c, False]).mean()) + margin) / 2
            weight, target = 1.0, float(label == PRESENT)
            if label == UNKNOWN and s >= margin:
                target, found = 1.0, found + 1
            elif label == UNKNOWN:
                weight = 1 - min(max((s - low) / max(margin - low, 1e-6), 0), 1)
            total += weight * binary_cross_entropy_with_logits(out.logits[b, c], torch.tensor(target))
            weights += weight
    terms, pseudo = model.step(given, LATE)
    assert 0 < found == pseudo["discovered"].weight.sum() < (given.labels == UNKNOWN).sum()
    torch.testing.assert_close(terms["bce"] + terms["bce_assumed"], total / weights, rtol=1e-4, atol=1e-5)


def test_before_its_epoch_all_unknown_labels_count_as_absent():
    model, given = method(), batch()
    terms, found = model.step(given, Progress())
    expected = binary_cross_entropy_with_logits(model(given.inputs), (given.labels == PRESENT).float())
    torch.testing.assert_close(terms["bce"] + terms["bce_assumed"], expected)
    assert found == {}


def test_known_absent_labels_are_never_rejected_nor_discovered():
    model, given = method(threshold=-1.0, threshold_floor=-1.0), batch()
    model.usual.mean.fill_(-1.0)
    terms, found = model.step(given, LATE)
    assert (found["discovered"].weight[given.labels == ABSENT] == 0).all()
    logits, known = model(given.inputs), given.labels != UNKNOWN
    known_cost = binary_cross_entropy_with_logits(logits[known], given.labels[known].float(), reduction="sum")
    discovered = found["discovered"].weight > 0
    weights = known.sum() + discovered.sum()
    torch.testing.assert_close(terms["bce"], known_cost / weights)


def test_the_margin_falls_to_its_floor_but_not_below_what_is_usual():
    model = method()
    model.usual.mean[1, 0, 0] = 0.8
    for epoch, expected in ((5, 0.95), (7, 0.9), (40, 0.6)):
        margin = model.margin(Progress(epoch=epoch))
        assert margin[0].item() == pytest.approx(expected)
        assert margin[1].item() == pytest.approx(max(expected, 0.8))


def test_labels_are_rejected_the_more_the_nearer_they_come_to_the_margin():
    model, margin = method(), torch.full((CLASSES,), 0.8)
    model.usual.mean[:, 1, 0] = 0.4  # low is 0.6
    score = torch.tensor([0.3, 0.6, 0.65, 0.7, 0.9])[:, None].expand(5, CLASSES)
    assert model.rejection(score, margin)[:, 0].tolist() == pytest.approx([0, 0, 0.25, 0.5, 1])
