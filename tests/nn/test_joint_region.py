"""The heads in the space of a tower against their literal equations."""

import math

import pytest
import torch
from torch.nn.functional import cosine_similarity

from partlabel.nn.classes import Classes
from partlabel.nn.heads.joint_evidence import JointEvidence
from partlabel.nn.heads.joint_region import JointRegion
from partlabel.testing.tower import tiny_space

NAMES = ("a", "b", "c")
CLASSES = Classes(NAMES, joint=tiny_space(NAMES, 4))
MAPS = torch.randn(2, 4, 2, 3, generator=torch.Generator().manual_seed(0))


def cosines(head, image, vector):
    """Return the cosines of all classes with all places of an image."""
    places = [head.projection @ image[:, y, x] + head.offset for y in range(image.shape[1]) for x in range(3)]
    rows = [
        torch.stack([cosine_similarity(head.weight[c, vector], place, 0) for place in places])
        for c in range(3)
    ]
    return torch.stack(rows)


def test_logits_are_those_of_dualcoop():
    torch.manual_seed(1)
    head = JointRegion(4, CLASSES)
    for b, image in enumerate(MAPS):
        present, absent = (20 * cosines(head, image, vector) for vector in range(2))
        for c in range(3):
            weights = present[c].softmax(0)
            z_present, z_absent = 5 * weights @ present[c], 5 * weights @ absent[c]
            expected = torch.stack([z_absent, z_present]).softmax(0)[1]
            torch.testing.assert_close(head(MAPS).logits[b, c].sigmoid(), expected, rtol=1e-3, atol=1e-5)


def test_logits_are_those_of_dualcoop_pp():
    torch.manual_seed(1)
    head = JointEvidence(4, CLASSES)
    for b, image in enumerate(MAPS):
        present, absent, evidence = (cosines(head, image, vector) for vector in range(3))
        won = present.clone()
        for place in range(6):
            best = max(present[c, place] for c in range(3))
            rivals = torch.stack([200 * best * present[c, place] for c in range(3)]).softmax(0)
            won[:, place] = present[:, place] * (1 + rivals)
        for c in range(3):
            weights = (math.exp(3) * evidence[c]).softmax(0)
            expected = math.exp(3) * (weights @ won[c] - weights @ absent[c])
            torch.testing.assert_close(head(MAPS).logits[b, c], expected, rtol=1e-3, atol=1e-4)


def test_a_backbone_with_other_channels_is_refused():
    with pytest.raises(ValueError, match="features of 4 channels, and the backbone has 5: give --backbone"):
        JointRegion(5, CLASSES)


def test_a_head_without_a_tower_takes_the_sizes_of_the_state():
    head, loaded = JointRegion(4, CLASSES), JointRegion(4, Classes(NAMES))
    loaded.load_state_dict(head.state_dict())
    torch.testing.assert_close(loaded(MAPS).logits, head(MAPS).logits)
