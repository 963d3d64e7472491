"""CDUL: latent labels of a tower, and how they move."""

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity

from partlabel.core.labels import UNKNOWN
from partlabel.core.types import Progress
from partlabel.methods.cdul import CDUL
from partlabel.nn.classes import Classes
from partlabel.nn.heads.average import Average
from partlabel.testing.tower import tiny_space, tokens_of
from trunk import CHANNELS, Same
from trunk import batch as drawn

NAMES = ("cat", "x ray", "dog on a sofa", "d", "e")
STILL, DUE = Progress(epoch=4, epochs=20), Progress(epoch=5, epochs=20)


def built(space=True, **options):
    torch.manual_seed(0)
    head = Average(CHANNELS, Classes(NAMES, joint=tiny_space(NAMES, CHANNELS) if space else None))
    torch.nn.init.normal_(head.linear.weight)
    return CDUL(Same(), head, **options)


def shares(vector, names, scale):
    """Softmax over the classes of the cosines of a vector with the names."""
    powers = [math.exp(scale * float(cosine_similarity(vector, name, 0))) for name in names]
    return [power / sum(powers) for power in powers]


def test_the_first_latent_label_is_the_mean_of_the_photo_and_of_its_strongest_or_weakest_place():
    method, maps = built(threshold=0.4, sharpness=3.0), drawn().inputs
    space = method.head.joint
    names = space.text.vectors(tokens_of([f"a photo of a {name}." for name in NAMES]))
    found, spoken = method.start(maps), 0
    for b in range(len(maps)):
        places = [
            space.projection @ maps[b, :, row, column] + space.offset
            for row in range(4)
            for column in range(4)
        ]
        photo = shares(sum(places) / 16, names, 3.0)
        parts = [shares(place, names, 3.0) for place in places]
        for c in range(5):
            of_class = [part[c] for part in parts]
            speaks = max(of_class) >= 0.4
            spoken += speaks
            expected = (photo[c] + (max(of_class) if speaks else min(of_class))) / 2
            assert found[b, c].item() == pytest.approx(expected, rel=1e-4)
    assert 0 < spoken < found.numel()


def test_in_due_epochs_latent_labels_move_by_the_gradient_of_the_divergence():
    """The equation of the paper, with the gradient by autograd."""
    method, batch = built(width=0.7), drawn()
    method.step(batch, STILL)
    before = method.latent.read(batch.index)
    y, p = before.sigmoid().double().requires_grad_(), method(batch.inputs).detach().sigmoid().double()
    divergence = y * (y / p).log() + (1 - y) * ((1 - y) / (1 - p)).log()
    divergence.sum().backward()
    psi = torch.exp(-((y.detach() - 0.5) ** 2) / (2 * 0.7**2)) / (0.7 * math.sqrt(2 * math.pi))
    method.step(batch, DUE)
    expected = before - psi * y.grad
    torch.testing.assert_close(method.latent.read(batch.index), expected.float(), rtol=1e-3, atol=1e-4)


def test_latent_labels_belong_to_the_photo_and_known_labels_overrule_them():
    method, batch = built(latent_weight=0.5), drawn()
    _, found = method.step(batch, STILL)
    other_view = batch._replace(inputs=batch.inputs.flip(3).roll(1, 2))
    terms, again = method.step(other_view, STILL)
    torch.testing.assert_close(again["latent"].value, found["latent"].value)
    z, total = method(other_view.inputs).tolist(), 0.0
    unknown = (batch.labels == UNKNOWN).nonzero().tolist()
    for b, c in unknown:
        y, p = float(again["latent"].value[b, c]), 1 / (1 + math.exp(-z[b][c]))
        total -= y * math.log(p) + (1 - y) * math.log(1 - p)
    assert terms["latent"].item() == pytest.approx(0.5 * total / len(unknown), rel=1e-3)


def test_a_class_without_a_label_begins_at_its_latent_labels_and_not_at_the_least_prevalence():
    method, batch = built(), drawn()
    method.head.linear.bias.data = torch.tensor([0.0, 1e-9, 0.4, 0.0, 0.2]).logit(1e-3)
    _, found = method.step(batch, Progress())
    mean = found["latent"].value.mean(0)
    expected = torch.stack([mean[0], mean[1], torch.tensor(0.4), mean[3], torch.tensor(0.2)])
    torch.testing.assert_close(method.head.linear.bias.detach().sigmoid(), expected)


def test_what_cannot_be_is_refused():
    with pytest.raises(
        ValueError, match=r"photos are compared with class names through a tower, .*--tower FOLDER"
    ):
        built(space=False).step(drawn(), STILL)
    with pytest.raises(ValueError, match=r"width is 0\.1"):
        built(width=0.1)
    head = Average(2 * CHANNELS, Classes(NAMES, joint=tiny_space(NAMES, CHANNELS)))
    with pytest.raises(ValueError, match=r"features of 6 channels, and the head takes 12: .*--head region"):
        CDUL(Same(), head)
