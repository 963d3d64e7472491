"""The headline: its numbers against naive loops and scikit-learn, and its words."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.evaluation.headline import FEWEST, Headline, headline, load, save
from partlabel.evaluation.intervals import class_average_precisions

CLASSES = ("cat", "dog", "tree")


def drawn(
    images: int, classes: int = 3, seed: int = 0, unknown: float = 0.4
) -> tuple[np.ndarray, np.ndarray]:
    """Logits that say something of the labels, and labels of which some are unknown."""
    random = np.random.default_rng(seed)
    truth = random.random((images, classes)) < 0.4
    logits = (random.standard_normal((images, classes)) + truth).round(1).astype(np.float32)  # with ties
    labels = np.where(random.random(truth.shape) < unknown, UNKNOWN, truth).astype(np.int8)
    return logits, labels


def naive(scores: np.ndarray, positive: np.ndarray, weight: np.ndarray) -> float:
    """AP by its definition: a double loop over distinct scores and images."""
    total, area, recall = sum(weight[positive]), 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        hits = sum(w for s, p, w in zip(scores, positive, weight, strict=True) if s >= threshold and p)
        seen = sum(w for s, w in zip(scores, weight, strict=True) if s >= threshold)
        if seen:
            area += (hits / total - recall) * hits / seen
            recall = hits / total
    return area


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_weighted_average_precision_is_that_of_the_definition_and_of_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(0, 6, 20).astype(float)
    positive = random.random(20) < 0.4
    positive[0] = True
    weights = random.integers(0, 4, (3, 20)).astype(np.uint8)
    weights[:, 0] = 1
    for weight, found in zip(weights, class_average_precisions(scores, positive, weights.T), strict=True):
        assert found == pytest.approx(naive(scores, positive, weight.astype(float)), abs=1e-12)
        assert found == pytest.approx(average_precision_score(positive, scores, sample_weight=weight))


def test_the_mean_is_over_known_labels_of_classes_with_five_known_present_ones() -> None:
    logits, labels = drawn(60)
    labels[:, 2] = np.where(np.cumsum(labels[:, 2] == PRESENT) > FEWEST - 1, ABSENT, labels[:, 2])
    found = headline("validation", logits, labels, CLASSES)
    aps = []
    for c in range(3):
        known = labels[:, c] != UNKNOWN
        aps.append(average_precision_score(labels[known, c] == PRESENT, logits[known, c]))
    assert found.known is not None and found.all_known is not None and found.others is not None
    assert found.known.value == pytest.approx(np.mean(aps[:2]))
    assert found.known.classes == 2
    assert found.all_known.value == pytest.approx(np.mean(aps))
    assert found.few == ("tree",)
    others = [average_precision_score(labels[:, c] == PRESENT, logits[:, c]) for c in range(2)]
    assert found.others.value == pytest.approx(np.mean(others))
    shares = [(labels[:, c] == PRESENT).sum() / (labels[:, c] != UNKNOWN).sum() for c in range(2)]
    assert found.known.chance == pytest.approx(np.mean(shares))
    assert "over the 2 of 3 classes with at least 5 known present labels" in found.sentence
    assert any("fewer than 5 known present labels: tree" in line for line in found.lines)


def test_the_sentence_says_what_it_was_measured_on() -> None:
    logits, labels = drawn(60)
    found = headline("validation", logits, labels, CLASSES)
    present, absent = (labels == PRESENT).sum(), (labels == ABSENT).sum()
    assert found.known is not None
    assert found.sentence == (
        f"Validation: mAP {100 * found.known.value:.1f} % (95 % interval {100 * found.known.low:.1f} to "
        f"{100 * found.known.high:.1f}), over all 3 classes; {present + absent} known labels ({present} present, "
        f"{absent} absent) on 60 images"
    )
    assert found.lines[0] == found.sentence
    assert headline("cross-validation", logits, labels, CLASSES).sentence.startswith("Cross-validation: mAP")
    assert headline("test", logits, labels, CLASSES).sentence.startswith("Test: mAP")


def test_the_interval_is_that_of_redrawn_images() -> None:
    logits, labels = drawn(60, classes=1, unknown=0)
    found = headline("test", logits, labels, ["cat"], resamples=100, seed=3).known
    assert found is not None
    random = np.random.default_rng(3)
    redrawn = []
    for _ in range(100):
        rows = random.integers(60, size=60)
        redrawn.append(average_precision_score(labels[rows, 0] == PRESENT, logits[rows, 0]))
    low, high = 2 * found.value - np.quantile(redrawn, [0.975, 0.025])
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(6, 30))
def test_the_interval_holds_the_mean_and_stays_between_none_and_all(seed: int, images: int) -> None:
    logits, labels = drawn(images, seed=seed)
    found = headline("validation", logits, labels, CLASSES, resamples=30)
    for mean in (found.known, found.all_known, found.others):
        if mean is not None:
            assert 0 <= mean.low <= mean.value <= mean.high <= 1
    for line in found.lines:
        assert "nan" not in line.lower().replace("unknown", "")


def test_the_interval_narrows_with_more_images_and_repeats_with_its_seed() -> None:
    few, many = (headline("test", *drawn(n, unknown=0), CLASSES).known for n in (50, 800))
    assert few is not None and many is not None
    assert many.high - many.low < (few.high - few.low) / 2
    assert headline("test", *drawn(50), CLASSES) == headline("test", *drawn(50), CLASSES)


def test_positives_only_are_ranked_against_all_other_images_and_named_as_such() -> None:
    logits, labels = drawn(80)
    labels[labels == ABSENT] = UNKNOWN
    found = headline("validation", logits, labels, CLASSES)
    expected = np.mean([average_precision_score(labels[:, c] == PRESENT, logits[:, c]) for c in range(3)])
    assert found.known is None and found.all_known is None and found.others is not None
    assert found.others.value == pytest.approx(expected)
    said = "\n".join(found.lines)
    assert "mAP of known present labels against all other images" in found.sentence
    assert f"({(labels == PRESENT).sum()} present, 0 absent) on 80 images" in found.sentence
    covered = (logits[labels == PRESENT] >= 0).mean()
    assert f"{100 * covered:.1f} % of the known present labels have a probability of at least 0.5" in said
    assert "treat unknown labels as absent (--method assume_negative)" in found.lines[-1]
    assert "nan" not in said.replace("unknown", "")


def test_with_known_absent_labels_no_rule_for_positives_only_is_recommended() -> None:
    assert not any("Recommended" in line for line in headline("test", *drawn(60), CLASSES).lines)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([[-1], [-1], [-1]], "Validation: no label is known on 3 images"),
        (
            [[0], [0], [-1]],
            "Validation: 2 known labels (0 present, 2 absent) on 3 images: too few labels of each kind",
        ),
        (
            [[1], [-1], [-1]],
            "Validation: 1 known label (1 present, 0 absent) on 3 images: too few labels of each kind",
        ),
        ([[1], [0], [-1]], "over 1 class with fewer than 5 known present labels each, too few to rely on"),
    ],
)
def test_too_few_labels_are_said_to_be_too_few(labels: list[list[int]], said: str) -> None:
    logits = np.array([[1.0], [0.0], [-1.0]], np.float32)
    found = headline("validation", logits, np.array(labels, np.int8), ["cat"])
    assert said in found.sentence


def test_classes_that_are_known_on_one_side_only_are_named() -> None:
    logits, labels = drawn(60, unknown=0.2)
    labels[:, 1][labels[:, 1] == ABSENT] = UNKNOWN
    labels[:, 2][labels[:, 2] == PRESENT] = UNKNOWN
    lines = headline("test", logits, labels, CLASSES).lines
    assert "Left out, no known absent label: dog" in lines
    assert "Left out, no known present label: tree" in lines


def test_what_is_no_number_is_refused() -> None:
    logits, labels = drawn(10)
    with pytest.raises(ValueError, match="and there are 2 classes"):
        headline("test", logits, labels, CLASSES[:2])
    logits[4], labels[4, 0] = np.nan, PRESENT
    with pytest.raises(ValueError, match=r"logits of known labels are not finite, in rows 4"):
        headline("test", logits, labels, CLASSES)
    labels[4] = UNKNOWN
    assert headline("test", logits, labels, CLASSES).images == 10


def test_saved_headlines_read_the_same_and_test_comes_first(tmp_path: Path) -> None:
    made = [headline(kind, *drawn(60), CLASSES) for kind in ("cross-validation", "validation", "test")]
    save(made, tmp_path / "headlines.json")
    assert load(tmp_path / "headlines.json") == made[::-1]
    assert Headline.from_dict(asdict(made[0])).lines == made[0].lines
    assert load(tmp_path / "none.json") == []
