"""PU-MLC against loops over classes, images and pairs of images."""

import math

import numpy as np
import pytest
import torch

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.types import Progress
from partlabel.methods.pu_mlc import LEAST_TEMPERATURE, PUMLC
from partlabel.transfer import image_mixing
from trunk import CLASSES, Same, batch, residual

LATE = Progress(epoch=8, step=40, batch=0, batches=8, epochs=20, seed=3)


def s(z):
    return 1 / (1 + math.exp(-z))


@pytest.mark.parametrize("absent_weight", [0.0, 0.5])
def test_the_risk_is_a_loop(absent_weight):
    given = batch(7)
    given.labels[:, 3] = UNKNOWN
    logits = torch.randn(7, CLASSES, generator=torch.Generator().manual_seed(2))
    logits[:, 4] = 0.7  # no spread
    known, unlabelled, z = 0.0, 0.0, logits.tolist()
    for c in range(CLASSES):
        column = [row[c] for row in z]
        mean = sum(column) / 7
        spread = math.sqrt(sum((each - mean) ** 2 for each in column) / 7)
        temperature = min(max(2 * spread, LEAST_TEMPERATURE), 1)
        phi = [s(each / temperature) for each in column]
        mean = sum(phi) / 7
        unlabelled += mean**0.8 * math.log(mean)
        present = [-math.log(phi[b]) for b in range(7) if given.labels[b, c] == PRESENT]
        absent = [-math.log(1 - s(column[b])) for b in range(7) if given.labels[b, c] == ABSENT]
        known += sum(present) / max(len(present), 1) + absent_weight * sum(absent) / max(len(absent), 1)
    terms = PUMLC(Same(), residual(), 0.8, 2.0, absent_weight=absent_weight).risk(logits, given.labels)
    assert terms["bce"].item() == pytest.approx(known / CLASSES, rel=1e-5)
    assert terms["unlabelled"].item() == pytest.approx(unlabelled / CLASSES, rel=1e-5)


def test_absent_labels_are_discarded_unless_they_are_given_a_weight():
    given = batch()
    less = given._replace(labels=given.labels.masked_fill(given.labels == ABSENT, UNKNOWN))
    paper, ours = (PUMLC(Same(), residual(), absent_weight=weight).eval() for weight in (0.0, 1.0))
    assert paper.step(given, LATE).terms == paper.step(less, LATE).terms
    assert ours.step(given, LATE).terms["bce"] > ours.step(less, LATE).terms["bce"]


def test_mixtures_are_predicted_as_the_mean_of_their_images():
    model, given = PUMLC(Same(), residual(), mix=0.5).eval(), batch()
    generator = LATE.generator()
    partner = image_mixing.partners(6, 2, generator)[1].tolist()
    kept = np.random.default_rng([3, 40]).beta(0.3, 0.3)
    plain, costs = model(given.inputs), []
    for b, other in enumerate(partner):
        mixed = model((kept * given.inputs[b] + (1 - kept) * given.inputs[other])[None])[0]
        for c in range(CLASSES):
            of = [1 if given.labels[n, c] == PRESENT else s(plain[n, c].item()) for n in (b, other)]
            wanted = math.log(kept * of[0] + (1 - kept) * of[1])
            costs.append((wanted - math.log(s(mixed[c].item()))) ** 2)
    found = model.step(given, LATE).terms["mixed"].item()
    assert found == pytest.approx(0.5 * sum(costs) / len(costs), rel=1e-4)


def test_a_share_is_drawn_from_a_beta_distribution():
    with pytest.raises(
        ValueError, match=r"mix_alpha is 0\.0; the parameter of a beta distribution is above 0"
    ):
        PUMLC(Same(), residual(), mix_alpha=0.0)
