import torch

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.losses.contrastive import Contrastive


def some(images=5, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, 2, (images, classes), generator=generator).to(torch.int8)
    return torch.randn(images, classes, 4, generator=generator), labels


def kinds(features, labels):
    """Compute, by loops, the cost of every pair of images by the number of present labels in it."""
    costs = {2: [], 1: [], 0: []}
    for c in range(labels.shape[1]):
        for i in range(len(labels)):
            for j in range(i + 1, len(labels)):
                if UNKNOWN in (labels[i, c], labels[j, c]):
                    continue
                cosine = torch.cosine_similarity(features[i, c], features[j, c], dim=0)
                n = int(labels[i, c] == PRESENT) + int(labels[j, c] == PRESENT)
                costs[n].append(1 - cosine if n == 2 else 1 + cosine)
    return {n: torch.stack(each) if each else torch.zeros(0) for n, each in costs.items()}


def test_without_a_both_present_pair_it_is_the_mean_over_all_known_pairs():
    features, labels = some()
    labels[labels == PRESENT] = 0
    labels[0] = PRESENT
    each = kinds(features, labels)
    assert len(each[2]) == 0 and len(each[1]) > 0
    torch.testing.assert_close(Contrastive()(features, labels), torch.cat([each[1], each[0]]).mean())


def test_with_many_both_present_pairs_the_others_are_all_drawn_and_the_largest_count_twice():
    features, labels = some(images=6, seed=3)
    labels = labels.clamp(min=0)
    labels[:4] = PRESENT
    each = kinds(features, labels)
    n = len(each[2])
    assert 2 * n >= max(len(each[1]), len(each[0])) > 0
    expected = [each[2]]
    for kind in (1, 0):
        expected += [each[kind], each[kind].sort(descending=True).values[:n]]
    torch.testing.assert_close(Contrastive()(features, labels), torch.cat(expected).mean())


def test_many_apart_pairs_are_thinned_to_three_for_each_together_pair():
    features, labels = some(images=8, classes=1)
    labels[:] = 0
    labels[:2] = PRESENT  # one together pair; 12 with one present and 15 with none
    each = kinds(features, labels)
    low = torch.cat(
        [each[2], *(each[k].sort().values[:2] for k in (1, 0)), *(each[k].max()[None] for k in (1, 0))]
    )
    high = torch.cat(
        [
            each[2],
            *(each[k].sort(descending=True).values[:2] for k in (1, 0)),
            *(each[k].max()[None] for k in (1, 0)),
        ]
    )
    drawn = {
        round(Contrastive()(features, labels, torch.Generator().manual_seed(s)).item(), 6) for s in range(20)
    }
    assert len(drawn) > 1
    assert low.mean() - 1e-5 <= min(drawn) and max(drawn) <= high.mean() + 1e-5


def test_the_generator_decides_what_is_drawn():
    features, labels = some(images=8)
    twice = [Contrastive()(features, labels, torch.Generator().manual_seed(7)) for _ in range(2)]
    assert twice[0] == twice[1]


def test_unknown_labels_push_nothing():
    features, labels = some()
    features.requires_grad_()
    Contrastive()(features, labels).backward()
    assert (features.grad[labels == UNKNOWN] == 0).all()
    features.grad = None
    Contrastive()(features, torch.full_like(labels, UNKNOWN)).backward()
    assert (features.grad == 0).all()
