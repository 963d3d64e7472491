"""Why a label is suggested, counted by hand."""

import numpy as np
import pytest

from partlabel.core import similar_rows
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.review import explanations
from partlabel.review.explanations import Company, Habits

P, A, U = PRESENT, ABSENT, UNKNOWN
NAMES = ("bench", "dog", "car")


def test_company_is_named_with_its_share_and_what_is_usual():
    """Benches: 8 of the 10 photos with a dog, none of the 10 with a car, 8 of 20 in all."""
    labels = np.array([[P, P, A]] * 8 + [[A, P, A]] * 2 + [[A, A, P]] * 10, np.int8)
    often, seldom = Habits(labels, NAMES).company(np.array([U, P, P], np.int8), 0)
    assert often == [Company("dog", 0.8, 0.4, 10)]
    assert seldom == [Company("car", 0.0, 0.4, 10)]


def test_company_that_is_absent_unknown_or_rarely_seen_says_nothing():
    labels = np.array([[P, P, A]] * 4 + [[A, A, A]] * 10, np.int8)
    habits = Habits(labels, NAMES)
    assert habits.company(np.array([U, P, A], np.int8), 0) == ([], [])  # four photos are too few
    assert habits.company(np.array([U, U, U], np.int8), 0) == ([], [])


def test_photos_whose_label_is_unknown_count_for_no_share():
    labels = np.array([[P, P, A]] * 5 + [[U, P, A]] * 20 + [[A, A, A]] * 5, np.int8)
    ((company,), _) = Habits(labels, NAMES).company(np.array([U, P, A], np.int8), 0)
    assert company == Company("dog", 1.0, 0.5, 5)


def test_votes_are_surprises_times_weights_the_strongest_first():
    weights = np.array([[0, 2.0, -4.0], [0, 0, 0], [0, 0, 0]], np.float32)
    logits = np.zeros(3, np.float32)
    found = explanations.votes(weights, logits, np.array([U, P, A], np.int8), 0, NAMES)
    assert [(vote.name, vote.present) for vote in found] == [("car", False), ("dog", True)]
    assert [vote.odds for vote in found] == pytest.approx([-4.0 * -0.5, 2.0 * 0.5])
    assert explanations.votes(weights, logits, np.array([U, U, U], np.int8), 0, NAMES) == []


def test_similar_images_are_the_nearest_of_each_kind_and_never_the_image_itself():
    angle = np.radians([0, 10, 20, 30, 40, 50, 60])
    features = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float16)
    found = explanations.ImageNeighbours(features).near(0, np.array([P, A, P, U, P, A, P], np.int8))
    assert found.present == [2, 4, 6]
    assert found.absent == [1, 5]
    assert (found.showing, found.of) == (3, 5)


def test_where_nothing_is_known_nothing_is_similar():
    found = explanations.ImageNeighbours(np.eye(3, dtype=np.float16)).near(0, np.full(3, U, np.int8))
    assert found == ([], [], 0, 0)


def test_blocks_give_the_cosines_of_the_whole(monkeypatch):
    monkeypatch.setattr(similar_rows, "BLOCK", 3)
    random = np.random.RandomState(0)
    features = random.randn(11, 4).astype(np.float16)
    labels = random.choice([P, A], 11).astype(np.int8)
    found = explanations.ImageNeighbours(features).near(5, labels)
    cosine = features.astype(np.float32) @ features[5].astype(np.float32)
    expected = [row for row in np.argsort(-cosine).tolist() if row != 5 and labels[row] == P]
    assert found.present == expected[:3]


def test_among_many_images_few_numbers_choose_and_the_rarer_kind_is_not_crowded_out(monkeypatch):
    monkeypatch.setattr(explanations, "COMPARED", 100)
    monkeypatch.setattr(similar_rows, "CANDIDATES", 60)
    random = np.random.RandomState(0)
    centres = random.randn(50, 96)
    features = centres[random.randint(50, size=2000)] + 0.3 * random.randn(2000, 96)
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float16)
    labels = np.where(random.rand(2000) < 0.01, P, A).astype(np.int8)
    similar, found = explanations.ImageNeighbours(features), 0
    for row in range(20):
        order = np.argsort(-(features.astype(np.float32) @ features[row].astype(np.float32)))
        exact = [[each for each in order.tolist() if each != row and labels[each] == kind] for kind in (P, A)]
        near = similar.near(row, labels)
        assert near.of == 20 and row not in near.present + near.absent
        assert near.present == exact[0][:3], "all of a rare kind are candidates"
        found += len({*near.absent} & {*exact[1][:3]})
    assert found >= 57
