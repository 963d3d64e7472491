"""Sources that need labels and images alone: known labels of the same image, and prototypes."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from informed import CLASSES, collection
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.targets import Targets
from partlabel.transfer.sources import Observed
from partlabel.transfer.sources.class_prototypes import ClassPrototypes
from partlabel.transfer.sources.co_occurrence import PRIOR, CoOccurrence
from partlabel.transfer.teacher import Teacher


def given_of(labels):
    fold = torch.arange(len(labels)) % 3
    return Observed(labels, Targets.known(labels), fold)


def paired(images=400, known=0.6, seed=0):
    """Labels of four classes of which the second follows the first, and the fourth excludes the third."""
    random = torch.Generator().manual_seed(seed)
    truth = torch.rand(images, 4, generator=random) < 0.4
    truth[:, 1] = truth[:, 0] ^ (torch.rand(images, generator=random) < 0.1)
    truth[:, 3] = ~truth[:, 2]
    labels = torch.where(truth, PRESENT, ABSENT).to(torch.int8)
    labels[torch.rand(images, 4, generator=random) >= known] = UNKNOWN
    return labels, truth.float()


def naive(labels, image, cls):
    """The score of a label by the images of the other folds, written as the formula."""
    others = [row for row in range(len(labels)) if row % 3 != image % 3]
    score = 0.0
    for j in range(labels.shape[1]):
        if j == cls or labels[image, j] == UNKNOWN:
            continue
        known = [int(labels[row, j]) for row in others if labels[row, j] != UNKNOWN]
        share = (known.count(PRESENT) + 0.5) / (len(known) + 1)
        likelihood = []
        for state in (PRESENT, ABSENT):
            both = [row for row in others if labels[row, cls] == state and labels[row, j] != UNKNOWN]
            shown = sum(int(labels[row, j]) == PRESENT for row in both)
            p = (shown + PRIOR * share) / (len(both) + PRIOR)
            likelihood.append(p if labels[image, j] == PRESENT else 1 - p)
        score += math.log(likelihood[0] / likelihood[1])
    return score


def test_scores_are_the_stated_log_likelihood_ratios():
    labels, _ = paired(images=30)
    scores = CoOccurrence(4).fit(given_of(labels))
    for image in range(30):
        for cls in range(4):
            assert float(scores[image, cls]) == pytest.approx(naive(labels, image, cls), abs=1e-4)


def test_the_score_of_a_label_does_not_depend_on_that_label():
    labels, _ = paired(images=60)
    scores = CoOccurrence(4).fit(given_of(labels))
    other = labels.clone()
    other[7, 2] = ABSENT if labels[7, 2] == PRESENT else PRESENT
    assert CoOccurrence(4).fit(given_of(other))[7, 2] == scores[7, 2]


def test_an_image_without_known_labels_has_no_evidence():
    labels, _ = paired()
    labels[5] = UNKNOWN
    source = CoOccurrence(4)
    assert (source.fit(given_of(labels))[5] == 0).all()
    assert (source(given_of(labels[5:6])) == 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_related_classes_inform_each_other_and_unrelated_ones_do_not(seed):
    labels, truth = paired(seed=seed)
    weak = truth + 2 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(seed))
    given = replace(given_of(labels), logits=weak)
    teacher = Teacher.of(given)
    unknown = labels == UNKNOWN
    right = ((teacher.fit(given) > 0) == truth.bool())[unknown].float().mean()
    plain = ((Teacher.of(given, ["recogniser"]).fit(given) > 0) == truth.bool())[unknown].float().mean()
    assert teacher.weights["co_occurrence"] > 0 and right > plain + 0.05
    unrelated, _ = collection(seed=seed)
    alone = Teacher.of(unrelated, ["recogniser", "co_occurrence"])
    alone.fit(unrelated)
    assert alone.weights["co_occurrence"] == 0


def test_votes_of_too_many_classes_are_not_counted(monkeypatch):
    monkeypatch.setattr("partlabel.transfer.sources.co_occurrence.MOST_CLASSES", 3)
    labels, _ = paired()
    source = CoOccurrence(4)
    assert not source.fit(given_of(labels)).any() and not source(given_of(labels)).any()


def test_prototypes_are_means_of_the_images_of_other_folds():
    given, _ = collection()
    image = torch.randn(len(given.labels), 5, generator=torch.Generator().manual_seed(1))
    given = replace(given, image=image)
    scores = ClassPrototypes(CLASSES, 5).fit(given)
    unit, outside = normalize(image), given.fold != given.fold[4]
    for cls in range(CLASSES):
        means = []
        for code in (PRESENT, ABSENT):
            rows = unit[outside & (given.labels[:, cls] == code)]
            means.append((rows.sum(0) + unit[outside].mean(0)) / (len(rows) + 1))
        torch.testing.assert_close(scores[4, cls], unit[4] @ (means[0] - means[1]), atol=1e-5, rtol=1e-5)
