"""The head `region` against its literal equations."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from partlabel.nn.classes import Classes
from partlabel.nn.heads.average import Average
from partlabel.nn.heads.region import Region

CLASSES = Classes(("a", "b", "c"), prevalence=torch.tensor([0.1, 0.5, 0.3]))
MAPS = torch.randn(2, 4, 2, 3, generator=torch.Generator().manual_seed(0))


def head(**options):
    torch.manual_seed(1)
    made = Region(4, CLASSES, **options).eval()
    torch.nn.init.normal_(made.weight)
    made.standardise.running_mean.normal_()
    made.standardise.running_var.uniform_(0.5, 2)
    return made


def places_of(made, image):
    norm = made.standardise
    standard = (image - norm.running_mean[:, None, None]) / (norm.running_var + norm.eps).sqrt()[
        :, None, None
    ]
    return [standard[:, y, x] for y in range(2) for x in range(3)]


@pytest.mark.parametrize("places", ["present", "evidence", "own"])
def test_logits_equal_a_loop_over_images_classes_and_places(places):
    made = head(places=places, sharpness=0.7, gain=2.0)
    for b, image in enumerate(MAPS):
        points = places_of(made, image)
        for c in range(3):
            scores = [torch.stack([vector[c] @ point for point in points]) for vector in made.weight]
            guide = {"present": [0, 0], "evidence": [2, 2], "own": [0, 1]}[places]
            weights = [(0.7 * scores[of]).softmax(0) for of in guide]
            expected = 2 * (weights[0] @ scores[0] - weights[1] @ scores[1]) + made.bias[c]
            torch.testing.assert_close(made(MAPS).logits[b, c], expected, rtol=1e-4, atol=1e-5)


def test_cosines_and_the_winner_are_those_of_the_paper():
    made = head(cosine=True, sharpness=20.0, gain=100.0, winner=200.0)
    points = places_of(made, MAPS[0])
    present, absent = (
        torch.stack([torch.stack([cosine_similarity(v, p, 0) for p in points]) for v in vectors])
        for vectors in made.weight
    )
    best = present.max(0).values
    won = present * (1 + (200 * best * present).softmax(0))
    attention = (20 * present).softmax(1)
    expected = 100 * (attention * won - attention * absent).sum(1) + made.bias
    torch.testing.assert_close(made(MAPS).logits[0], expected, rtol=1e-4, atol=1e-4)


def test_it_starts_as_the_linear_head_with_the_same_gradient():
    region, linear = Region(4, CLASSES).eval(), Average(4, CLASSES).eval()
    torch.testing.assert_close(region(MAPS).logits, linear(MAPS).logits)
    for made in (region, linear):
        made(MAPS).logits[:, 1].sum().backward()
    torch.testing.assert_close(region.weight.grad[0], linear.linear.weight.grad)
    torch.testing.assert_close(region.weight.grad[1], -linear.linear.weight.grad)


def test_with_no_sharpness_only_the_difference_of_the_vectors_counts():
    made = head(sharpness=0.0)
    before = made(MAPS).logits
    made.weight.data += torch.randn(1, 3, 4)
    torch.testing.assert_close(made(MAPS).logits, before, rtol=1e-4, atol=1e-4)


def test_class_maps_average_to_the_logit_where_the_attention_is_uniform():
    made = head(sharpness=0.0)
    torch.testing.assert_close(made.class_maps(MAPS).mean((2, 3)), made(MAPS).logits, rtol=1e-4, atol=1e-4)
