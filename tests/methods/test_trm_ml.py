"""TRM-ML: regions of classes, prototypes of images and of names, and what they label."""

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.core.types import Progress
from partlabel.methods.trm_ml import TRMML
from partlabel.nn.classes import Classes
from partlabel.nn.heads.average import Average
from partlabel.nn.heads.joint_query import JointQuery
from partlabel.testing.tower import tiny_space
from trunk import CHANNELS, Same
from trunk import batch as drawn

NAMES = tuple("abcde")
LATE = Progress(epoch=7, epochs=20)


def built(space=True, **options):
    torch.manual_seed(0)
    head = JointQuery(CHANNELS, Classes(NAMES, joint=tiny_space(NAMES, CHANNELS) if space else None))
    torch.nn.init.normal_(head.value, std=0.3)
    return TRMML(Same(), head, **options)


def own_share(region, prototypes, c, scale):
    """How much a region is like the prototype of class c among those that are there."""
    powers = {
        k: math.exp(scale * float(cosine_similarity(region, each, 0))) for k, each in prototypes.items()
    }
    return powers[c] / sum(powers.values())


@pytest.mark.parametrize("side", [2, 3])  # fewer places than classes, and more
def test_a_region_is_the_place_that_the_query_attends_to_matched_with_the_name(side):
    method, maps = built().eval().requires_grad_(False), drawn().inputs[:, :, :side, :side]
    head, space = method.head, method.head.joint
    head.weight.data.normal_()
    head.standardise.running_mean.normal_()
    head.slope.data.normal_()
    out = head(maps)
    for b in range(2):
        places = [space.projection @ place + space.offset for place in maps[b].flatten(1).T]
        places = [place / place.norm() for place in places]
        for c in range(5):
            powers = [
                math.exp(20 * float(cosine_similarity(head.weight[c, 0], place, 0))) for place in places
            ]
            seen = sum(power / sum(powers) * place for power, place in zip(powers, places, strict=True))
            region = seen + head.value @ seen
            torch.testing.assert_close(out.features[b, c], region / region.norm(), rtol=1e-4, atol=1e-5)
            match = float(cosine_similarity(region, head.text[c], 0)) - float(
                head.standardise.running_mean[c]
            )
            expected = float(head.slope[c]) * match / math.sqrt(1 + head.standardise.eps) + float(
                head.bias[c]
            )
            assert out.logits[b, c].item() == pytest.approx(expected, rel=1e-3, abs=1e-4)


def test_unknown_labels_follow_the_share_of_their_class_among_prototypes_of_both_kinds():
    """The class e has no label that is known to be present: its name alone speaks."""
    method, batch = built(threshold=0.25, sharpness=2.0, contrast_weight=0.5).eval(), drawn()
    batch.labels[:, 4] = UNKNOWN
    method.step(batch, LATE)
    with torch.no_grad():
        regions = method.head(batch.inputs).features
    seen = {c: regions[batch.labels[:, c] == PRESENT, c].mean(0) for c in range(4)}
    names, accepted, logs = dict(enumerate(method.head.text)), 0, []
    terms, found = method.step(batch, LATE)
    for b in range(len(regions)):
        for c in range(5):
            kinds = [seen, names] if c in seen else [names]
            own = [own_share(regions[b, c], kind, c, 2.0) for kind in kinds]
            unknown, label = batch.labels[b, c] == UNKNOWN, batch.labels[b, c]
            chosen = bool(unknown) and sum(own) / len(own) >= 0.25
            assert bool(found["prototypes"].weight[b, c]) == chosen
            accepted += chosen
            logs += [-math.log(share) for share in own] if label == PRESENT else []
    assert 0 < accepted < int((batch.labels == UNKNOWN).sum())
    assert terms["contrast"].item() == pytest.approx(0.5 * sum(logs) / len(logs), rel=1e-3)


def test_before_there_are_prototypes_of_images_the_names_speak_alone():
    method = built()
    _, said = method.own_shares(torch.randn(3, 5, method.head.feature_dim))
    assert said[:, 0].tolist() == [[0.0] * 5, [1.0] * 5]
    _, said = built(text=False).own_shares(torch.randn(3, 5, method.head.feature_dim))
    assert said[:, 0].tolist() == [[0.0] * 5]


def test_prediction_needs_no_tower_and_training_does():
    method, batch = built(), drawn()
    method.step(batch, LATE)
    loaded = TRMML(Same(), JointQuery(CHANNELS, Classes(NAMES)))
    loaded.load_state_dict(method.state_dict())
    torch.testing.assert_close(loaded.eval()(batch.inputs), method.eval()(batch.inputs))
    with pytest.raises(ValueError, match=r"through a tower, and there is none: give --tower FOLDER"):
        loaded.step(batch, LATE)
    with pytest.raises(ValueError, match=r"the head Average has none .* give --head joint_query"):
        TRMML(Same(), Average(CHANNELS, Classes(NAMES)))
