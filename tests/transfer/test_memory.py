import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from partlabel.core.labels import PRESENT
from partlabel.transfer import feature_bank, kernel_density
from partlabel.transfer.feature_bank import FeatureMemory, ImageMemory


def naive(batches, classes, size, dim):
    """A list per class, the newest first; the first image of a batch is the newest of it."""
    kept = [[] for _ in range(classes)]
    for features, labels in batches:
        for b in reversed(range(len(labels))):
            for c in range(classes):
                if labels[b, c] == PRESENT:
                    kept[c] = [features[b, c], *kept[c]][:size]
    return kept


def random_batches(seed, sizes, classes=3, dim=4):
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            torch.randn(n, classes, dim, generator=generator),
            torch.randint(-1, 2, (n, classes), generator=generator).to(torch.int8),
        )
        for n in sizes
    ]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(1, 9), max_size=5), st.integers(1, 4))
def test_it_keeps_what_lists_would_keep(seed, sizes, size):
    memory, batches = FeatureMemory(3, size, 4), random_batches(seed, sizes)
    for features, labels in batches:
        memory.add(features, labels)
    newest = memory.newest_first()
    for c, expected in enumerate(naive(batches, 3, size, 4)):
        assert memory.filled[c] == len(expected)
        for slot in range(size):
            assert torch.equal(newest[c, slot], expected[slot] if slot < len(expected) else torch.zeros(4))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.booleans())
def test_similarity_is_the_mean_cosine_to_what_is_kept(seed, count_empty_slots):
    memory, batches = FeatureMemory(3, 4, 4), random_batches(seed, [2, 2])
    for features, labels in batches:
        memory.add(features, labels)
    asked = random_batches(seed + 1, [2])[0][0]
    kept = naive(batches, 3, 4, 4)
    for b in range(2):
        for c in range(3):
            total = sum(
                (torch.cosine_similarity(asked[b, c], each, dim=0) for each in kept[c]), torch.tensor(0.0)
            )
            expected = total / (4 if count_empty_slots else max(len(kept[c]), 1))
            torch.testing.assert_close(
                memory.similarity(asked, count_empty_slots)[b, c], expected, rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_changes_no_similarity(dtype):
    """Thresholds lie where bfloat16 has steps of .004; and an empty slot's inverse length is no number of float16."""
    memory = FeatureMemory(2, 4, 8)
    near = torch.ones(3, 2, 8) + 0.05 * torch.randn(3, 2, 8, generator=torch.Generator().manual_seed(0))
    memory.add(near, torch.full((3, 2), PRESENT, dtype=torch.int8))
    exact = memory.similarity(near)
    with torch.autocast("cpu", dtype):
        assert torch.equal(memory.similarity(near), exact)


def test_it_remembers_values_and_not_the_graph_that_made_them():
    memory = FeatureMemory(1, 2, 3)
    features = torch.ones(1, 1, 3, requires_grad=True)
    memory.add(features * 2, torch.ones(1, 1, dtype=torch.int8))
    assert not memory.features.requires_grad
    memory.similarity(features).sum().backward()
    assert features.grad.isfinite().all()


def test_all_of_it_is_saved():
    memory = FeatureMemory(3, 2, 4)
    memory.add(*random_batches(0, [5])[0])
    again = FeatureMemory(3, 2, 4)
    again.load_state_dict(memory.state_dict())
    for each in (memory, again):
        each.add(*random_batches(1, [3])[0])
    assert torch.equal(again.newest_first(), memory.newest_first())


def test_evidence_is_the_log_ratio_of_two_kernel_densities():
    generator = torch.Generator().manual_seed(0)
    memory = ImageMemory(3, 10, 4)
    features, labels = (
        torch.randn(6, 4, generator=generator),
        torch.tensor([[1, 0, -1]] * 3 + [[0, 1, -1]] * 3).to(torch.int8),
    )
    memory.add(features, labels, torch.arange(6))
    asked = torch.randn(2, 4, generator=generator)
    found = memory.evidence(asked, 5.0)
    for b in range(2):
        near = [torch.exp(5 * torch.cosine_similarity(asked[b], each, dim=0)).item() for each in features]
        ratio = math.log(sum(near[:3]) / 3) - math.log(sum(near[3:]) / 3)
        assert found[b].tolist() == pytest.approx([ratio, -ratio, 0.0], abs=0.02)  # kept in half precision


def test_an_empty_image_memory_says_nothing():
    assert (ImageMemory(3, 10, 4).evidence(torch.randn(2, 4), 50.0) == 0).all()


def test_an_image_is_remembered_once_as_it_was_seen_last():
    memory = ImageMemory(1, 10, 2)
    rows = torch.tensor([4, 1])
    memory.add(torch.eye(2), torch.tensor([[1], [0]], dtype=torch.int8), rows)
    memory.add(torch.eye(2).flip(0), torch.tensor([[-1], [0]], dtype=torch.int8), rows)
    assert memory.row.tolist() == [-1, 1, -1, -1, 4]
    assert memory.features[rows].tolist() == [[0, 1], [1, 0]]
    assert memory.labels[rows].flatten().tolist() == [-1, 0]


def test_where_images_outnumber_places_the_last_comer_stays():
    memory = ImageMemory(1, 3, 1)
    for row, label in ((1, 1), (4, 0)):
        memory.add(torch.ones(1, 1), torch.tensor([[label]], dtype=torch.int8), torch.tensor([row]))
    assert memory.row.tolist() == [-1, 4]
    assert memory.labels[1].item() == 0
    memory.add(torch.ones(1, 1), torch.ones(1, 1, dtype=torch.int8), torch.tensor([1000]))
    assert len(memory.row) <= 3
    memory.add(torch.ones(2, 1), torch.tensor([[0], [1]], dtype=torch.int8), torch.tensor([5, 8]))
    assert (memory.row[2].item(), memory.labels[2].item()) == (8, 1)


def test_an_image_is_no_witness_of_its_own_labels():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(6, 4, generator=generator)
    labels = torch.tensor([[1], [0]] * 3, dtype=torch.int8)
    rows = torch.arange(6)
    memory = ImageMemory(1, 10, 4)
    memory.add(features, labels, rows)
    found = memory.evidence(features, 5.0, without=rows)
    for image in range(6):
        others = ImageMemory(1, 10, 4)
        kept = rows != image
        others.add(features[kept], labels[kept], rows[kept])
        expected = others.evidence(features[image : image + 1], 5.0).item()
        assert found[image].item() == pytest.approx(expected, abs=1e-3)


def test_the_only_witness_of_a_class_is_none_for_its_own_image():
    memory = ImageMemory(1, 10, 2)
    features, rows = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]]), torch.arange(3)
    memory.add(features, torch.tensor([[1], [0], [0]], dtype=torch.int8), rows)
    found = memory.evidence(features, 5.0, without=rows)
    assert found[0].item() == 0
    assert found[1].item() == pytest.approx(5 * (0.6 - 0.8), abs=0.02)


def test_an_image_that_is_remembered_does_not_drown_what_its_neighbours_say():
    """Its own labels are unknown, so it is no witness, with or without being named."""
    torch.manual_seed(0)
    memory = ImageMemory(2, 100, 8)
    labels = torch.tensor([[1, 0], [0, 1]] * 20, dtype=torch.int8)
    labels[:5] = -1
    features, rows = torch.randn(40, 8), torch.arange(40)
    memory.add(features, labels, rows)
    named, unnamed = (
        memory.evidence(features[:5], 50.0, without=rows[:5]),
        memory.evidence(features[:5], 50.0),
    )
    assert named.abs().min() > 0.1
    torch.testing.assert_close(named, unnamed, rtol=1e-4, atol=1e-4)
    cosine = torch.nn.functional.normalize(features, dim=1).half().double()
    cosine = torch.nn.functional.normalize(features[:5].double(), dim=1) @ cosine.T
    near = (50 * cosine).exp()
    present = labels.double().T == 1
    absent = labels.double().T == 0
    density = [near @ kind.double().T / kind.sum(1) for kind in (present, absent)]
    torch.testing.assert_close(unnamed.double(), density[0].log() - density[1].log(), rtol=1e-3, atol=1e-3)


def test_a_large_memory_is_compared_in_parts(monkeypatch):
    torch.manual_seed(0)
    features, labels, rows = (
        torch.randn(40, 8),
        torch.randint(-1, 2, (40, 3)).to(torch.int8),
        torch.arange(40),
    )
    found = []
    for at_once in (100, 7):
        monkeypatch.setattr(kernel_density, "STORED_AT_ONCE", at_once)
        monkeypatch.setattr(feature_bank, "STORED_AT_ONCE", at_once)
        memory = ImageMemory(3, 50, 8)
        memory.add(features, labels, rows)
        found.append([memory.evidence(features, 50.0, without=rows), memory.evidence(features[:9], 50.0)])
    assert memory.features.dtype == torch.float16, "and kept in half precision"
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-4)


def test_an_image_memory_comes_back_from_its_state_at_the_size_it_had():
    memory = ImageMemory(2, 10, 3)
    memory.add(torch.randn(3, 3), torch.ones(3, 2, dtype=torch.int8), torch.arange(3))
    again = ImageMemory(2, 10, 3)
    again.add(torch.randn(5, 3), torch.ones(5, 2, dtype=torch.int8), torch.arange(5))
    again.load_state_dict(memory.state_dict())
    assert torch.equal(again.row, memory.row) and torch.equal(again.features, memory.features)
    assert memory.state_dict()["features"].dtype == torch.float16
