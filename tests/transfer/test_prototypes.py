"""Centres by k-means and running means, against loops over single classes."""

import pytest
import torch

from partlabel.core.dtypes import double_if_supported
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.transfer.feature_bank import FeatureMemory
from partlabel.transfer.prototypes import Prototypes, RunningMeans, kmeans, prototype_loss


def chance():
    return torch.Generator().manual_seed(0)


def memory_of(*classes):
    """A memory that holds a list of points per class."""
    memory = FeatureMemory(len(classes), max(map(len, classes)) + 2, len(classes[0][0]))
    for number, points in enumerate(classes):
        for point in points:
            labels = torch.full((1, len(classes)), UNKNOWN, dtype=torch.int8)
            labels[0, number] = PRESENT
            memory.add(torch.tensor(point).expand(1, len(classes), -1), labels)
    return memory


def test_centres_of_well_parted_clusters_are_their_means():
    generator = torch.Generator().manual_seed(3)
    middles = 100 * torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    points = (middles[:, None] + torch.randn(3, 20, 2, generator=generator)).flatten(0, 1)
    shuffled = points[torch.randperm(60, generator=generator)]
    centres = kmeans(shuffled[None], torch.tensor([60]), 3, chance())[0]
    means = points.unflatten(0, (3, 20)).mean(1)
    nearest = torch.cdist(means, centres).argmin(1)
    assert sorted(nearest.tolist()) == [0, 1, 2]
    torch.testing.assert_close(centres[nearest], means)


def test_centres_are_where_lloyds_rounds_no_longer_move_them():
    points = torch.randn(4, 30, 3, generator=torch.Generator().manual_seed(1))
    filled = torch.tensor([30, 12, 30, 9])
    centres = kmeans(points, filled, 4, chance(), rounds=60)
    for c in range(4):
        there = points[c, : filled[c]]
        nearest = [min(range(4), key=lambda k: float((p - centres[c, k]).norm())) for p in there]
        for k in set(nearest):
            mine = torch.stack([p for p, n in zip(there, nearest, strict=True) if n == k])
            torch.testing.assert_close(centres[c, k], mine.mean(0))


def test_a_class_with_fewer_features_than_centres_has_each_as_one():
    prototypes = Prototypes(2, 4, 2)
    prototypes.refresh(memory_of([[1.0, 2.0], [3.0, 1.0]], [[0.0, 5.0]]), True, chance())
    assert prototypes.filled.tolist() == [2, 1]
    assert sorted(prototypes.centres[0, :2].tolist()) == [[1, 2], [3, 1]]
    assert prototypes.centres[1, 0].tolist() == [0, 5]
    for number in range(6):
        picked = prototypes.pick(torch.tensor(number))
        torch.testing.assert_close(picked[0], prototypes.centres[0, number % 2])
        torch.testing.assert_close(picked[1], prototypes.centres[1, 0])


def test_equal_features_are_one_centre_and_no_zeros():
    prototypes = Prototypes(1, 3, 2)
    prototypes.refresh(memory_of([[1.0, 2.0]] * 3), True, chance())
    assert prototypes.centres[0].tolist() == [[1, 2]] * 3


def test_a_class_never_seen_has_no_prototypes_and_is_similar_to_nothing():
    prototypes = Prototypes(2, 2, 2)
    prototypes.refresh(FeatureMemory(2, 3, 2), True, chance())
    assert prototypes.filled.tolist() == [0, 0]
    assert prototypes.similarity(torch.ones(3, 2, 2)).tolist() == [[0, 0]] * 3


def test_similarity_is_the_mean_cosine_to_the_centres():
    prototypes = Prototypes(2, 3, 2)
    prototypes.refresh(memory_of([[1.0, 2.0], [3.0, 1.0]], [[0.0, 5.0]]), True, chance())
    asked = torch.randn(4, 2, 2, generator=torch.Generator().manual_seed(1))
    kept = [[[1.0, 2.0], [3.0, 1.0]], [[0.0, 5.0]]]
    for b in range(4):
        for c in range(2):
            cosines = [torch.cosine_similarity(asked[b, c], torch.tensor(k), dim=0) for k in kept[c]]
            torch.testing.assert_close(prototypes.similarity(asked)[b, c], torch.stack(cosines).mean())


def test_prototypes_hold_until_it_is_time():
    prototypes, first, second = Prototypes(1, 1, 2), memory_of([[1.0, 2.0]]), memory_of([[5.0, 5.0]])
    prototypes.refresh(first, False, chance())  # there are none: found all the same
    prototypes.refresh(second, False, chance())
    assert prototypes.centres[0, 0].tolist() == [1, 2]
    prototypes.refresh(second, True, chance())
    assert prototypes.centres[0, 0].tolist() == [5, 5]


def test_the_prototype_loss_falls_as_present_features_come_near_and_absent_ones_leave():
    labels = torch.tensor([[PRESENT, ABSENT, UNKNOWN]], dtype=torch.int8)
    similarity = torch.tensor([[0.25, 0.5, 0.9]], requires_grad=True)
    loss = prototype_loss(similarity, labels)
    assert loss.item() == pytest.approx((0.75 + 1.5) / 3)
    loss.backward()
    torch.testing.assert_close(similarity.grad, torch.tensor([[-1 / 3, 1 / 3, 0]]))


def test_running_means_are_means_until_the_horizon_and_then_forget():
    means = RunningMeans(2, 2, 3, horizon=8)
    generator = torch.Generator().manual_seed(0)
    seen, expected = torch.zeros(2, 2, dtype=torch.int64), torch.zeros(2, 2, 3)
    for _ in range(9):
        features = torch.randn(4, 2, 3, generator=generator)
        where = torch.rand(4, 2, 2, generator=generator) < 0.5
        means.add(features, where)
        for c in range(2):
            for k in range(2):
                arrived = [features[b, c] for b in range(4) if where[b, c, k]]
                if arrived:
                    seen[c, k] += len(arrived)
                    pace = min(len(arrived) / min(int(seen[c, k]), 8), 1)
                    expected[c, k] += pace * (torch.stack(arrived).mean(0) - expected[c, k])
        torch.testing.assert_close(means.mean, expected)
    assert torch.equal(means.count, seen) and (seen > 8).all()


@pytest.mark.parametrize(("device", "kind"), [("cpu", torch.float64), ("mps", torch.float32)])
def test_double_precision_is_for_devices_that_have_it(device, kind):
    assert double_if_supported(torch.device(device)) == kind
