"""DCLR against loops over classes and stored features."""

import math

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cosine_similarity

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.types import Progress
from partlabel.methods.dclr import DCLR, smoothed
from trunk import CLASSES, Same, batch, residual

LATE = Progress(epoch=8, step=40, batch=0, batches=8, epochs=20)


def value(labels, scores, b, c, epsilon):
    """The smoothed label of class c of image b."""
    total = 1 - epsilon if labels[b, c] == PRESENT else 0.0
    for j in range(CLASSES):
        if j != c and labels[b, j] == PRESENT:
            others = [math.exp(scores[b][j][k]) for k in range(CLASSES) if k != j]
            total += epsilon * math.exp(scores[b][j][c]) / sum(others)
    return min(total, 1)


def test_a_present_label_gives_a_share_to_the_other_classes():
    labels, scores = (
        batch().labels,
        torch.randn(6, CLASSES, CLASSES, generator=torch.Generator().manual_seed(0)),
    )
    found = smoothed(labels, scores, 0.3)
    for b in range(6):
        for c in range(CLASSES):
            assert found.weight[b, c] == (labels[b, c] != UNKNOWN)
            assert found.value[b, c].item() == pytest.approx(
                value(labels, scores.tolist(), b, c, 0.3), abs=1e-6
            )


def test_the_only_class_of_a_table_keeps_what_it_gives_away():
    one = torch.tensor([[PRESENT], [ABSENT]], dtype=torch.int8)
    assert smoothed(one, torch.zeros(2, 1, 1), 0.25).value.flatten().tolist() == [0.75, 0]


@pytest.mark.parametrize("begun", [False, True])
def test_shares_follow_the_mean_cosine_to_features_of_other_images(begun):
    model, given = DCLR(Same(), residual(), epsilon=0.2, prototypes=2, contrast_weight=0.0).eval(), batch()
    progress = LATE if begun else Progress()
    term = model.step(given, progress).terms["bce"].item()
    out, costs = model.outputs(given.inputs), []
    stored = [out.features[given.labels[:, j] == PRESENT, j] for j in range(CLASSES)]
    centres = [list(model.prototypes.centres[j, : int(model.prototypes.filled[j])]) for j in range(CLASSES)]
    for bank in (stored, centres) if begun else ([[]] * CLASSES,):
        scores = [[[0.0] * CLASSES for _ in range(CLASSES)] for _ in range(6)]
        for b in range(6):
            for j in range(CLASSES):
                for c in range(CLASSES):
                    near = [cosine_similarity(out.features[b, j], each, dim=0).item() for each in bank[c]]
                    scores[b][j][c] = 10 * sum(near) / max(len(near), 1)
        for b in range(6):
            for c in range(CLASSES):
                if given.labels[b, c] != UNKNOWN:
                    wanted = torch.tensor(value(given.labels, scores, b, c, 0.2))
                    costs.append(binary_cross_entropy_with_logits(out.logits[b, c], wanted).item())
    assert term == pytest.approx(sum(costs) / len(costs), rel=1e-4)


def test_a_label_can_give_away_a_part_of_itself_alone():
    with pytest.raises(ValueError, match=r"epsilon is 1\.0; it is a share of a label, from 0 to below 1"):
        DCLR(Same(), residual(), epsilon=1.0)
