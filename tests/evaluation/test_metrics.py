"""The metrics against naive loops, scikit-learn and the numbers the authors' code printed."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rich.console import Console
from sklearn.metrics import average_precision_score

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.targets import Targets
from partlabel.evaluation.metrics import (
    Evaluation,
    average_precision,
    evaluate,
    highest,
    interpolated_average_precision,
)
from partlabel.evaluation.pseudo_label_quality import PseudoLabelQuality, Quality

REFERENCE = Path(__file__).parents[1] / "reference" / "metrics.npz"
MEANS = ("op", "or_", "of1", "cp", "cr", "cf1")
TOP3 = ("op_top3", "or_top3", "of1_top3", "cp_top3", "cr_top3", "cf1_top3")


def names(count: int) -> list[str]:
    return [f"class {c}" for c in range(count)]


def draw(seed: int, images: int = 60, classes: int = 6, known: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Scores with some information and many ties, labels with many unknown."""
    random = np.random.default_rng(seed)
    labels = (random.random((images, classes)) < 0.4).astype(np.int8)
    scores = np.round(random.normal(size=labels.shape) + labels - 0.5, 1).astype(np.float32)
    labels[random.random(labels.shape) >= known] = UNKNOWN
    return scores, labels


@st.composite
def tables(make) -> tuple[np.ndarray, np.ndarray]:
    shape = make(st.tuples(st.integers(1, 12), st.integers(1, 6)))
    labels = make(hnp.arrays(np.int8, shape, elements=st.sampled_from([PRESENT, ABSENT, UNKNOWN])))
    scores = make(hnp.arrays(np.float32, shape, elements=st.integers(-8, 8).map(lambda n: n / 4)))
    return scores, labels


def points_by_hand(scores: np.ndarray, labels: np.ndarray) -> list[tuple[float, float]]:
    """(recall, precision) at every distinct score of a known label, from the highest, by counting."""
    known = [(s, y) for s, y in zip(scores.tolist(), labels.tolist(), strict=True) if y != UNKNOWN]
    present = sum(y == PRESENT for _, y in known)
    points = []
    for threshold in sorted({s for s, _ in known}, reverse=True):
        chosen = [y for s, y in known if s >= threshold]
        right = sum(y == PRESENT for y in chosen)
        points.append((right / present, right / len(chosen)))
    return points


def ap_by_hand(points: list[tuple[float, float]]) -> float:
    total, before = 0.0, 0.0
    for recall, precision in points:
        total += (recall - before) * precision
        before = recall
    return total


def interpolated_by_hand(points: list[tuple[float, float]]) -> float:
    return ap_by_hand([(recall, max(p for r, p in points if r >= recall)) for recall, _ in points])


def means_by_hand(scores: np.ndarray, labels: np.ndarray, top: int | None = None) -> tuple[float, ...]:
    """OP OR OF1 CP CR CF1 by a loop over cells."""
    images, classes = labels.shape
    right, made, wanted = [0] * classes, [0] * classes, [0] * classes
    for i in range(images):
        for c in range(classes):
            if labels[i, c] == UNKNOWN:
                continue
            above = sum(labels[i, d] != UNKNOWN and scores[i, d] > scores[i, c] for d in range(classes))
            chosen = scores[i, c] >= 0 and (top is None or above < top)
            made[c] += chosen
            right[c] += chosen and labels[i, c] == PRESENT
            wanted[c] += labels[i, c] == PRESENT
    op, or_ = sum(right) / sum(made), sum(right) / sum(wanted)
    cp = sum(r / m if m else 0 for r, m in zip(right, made, strict=True)) / classes
    cr = sum(r / w for r, w in zip(right, wanted, strict=True)) / classes
    return op, or_, 2 * op * or_ / (op + or_), cp, cr, 2 * cp * cr / (cp + cr)


def test_every_metric_is_what_the_authors_code_printed() -> None:
    reference = np.load(REFERENCE)
    labels = reference["in.targets"].astype(np.int8)
    got = evaluate(reference["in.scores"], labels, names(labels.shape[1]))
    np.testing.assert_allclose(got.ap, reference["out.AP_per_class"], atol=1e-6)
    assert got.map == pytest.approx(reference["out.mAP"].item(), abs=1e-6)
    assert got.map_interpolated == pytest.approx(reference["out.mAP_voc2012_interpolated"].item(), abs=1e-6)
    for field in MEANS:
        name = field.strip("_").upper()
        assert getattr(got, field) == pytest.approx(reference[f"out.{name}"].item(), abs=1e-6)
        top = getattr(got, f"{field.rstrip('_')}_top3")
        assert top == pytest.approx(reference[f"out.{name}@top3"].item(), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_average_precision_is_scikit_learns_on_the_known_cells_ties_included(seed: int) -> None:
    scores, labels = draw(seed)
    for c in range(labels.shape[1]):
        known = labels[:, c] != UNKNOWN
        want = average_precision_score(labels[known, c], scores[known, c])
        assert average_precision(scores[:, c], labels[:, c]) == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_both_average_precisions_are_what_counting_by_hand_gives(seed: int) -> None:
    scores, labels = draw(seed)
    for c in range(labels.shape[1]):
        points = points_by_hand(scores[:, c], labels[:, c])
        column = scores[:, c], labels[:, c]
        assert average_precision(*column) == pytest.approx(ap_by_hand(points), abs=1e-12)
        assert interpolated_average_precision(*column) == pytest.approx(
            interpolated_by_hand(points), abs=1e-12
        )


def test_average_precisions_of_a_ranking_small_enough_for_the_back_of_an_envelope() -> None:
    scores = np.array([5, 4, 3, 2, 1], dtype=np.float32)
    labels = np.array([PRESENT, ABSENT, ABSENT, PRESENT, PRESENT], dtype=np.int8)
    assert average_precision(scores, labels) == pytest.approx((1 + 2 / 4 + 3 / 5) / 3)
    assert interpolated_average_precision(scores, labels) == pytest.approx((1 + 3 / 5 + 3 / 5) / 3)


def test_tied_scores_give_one_number_whatever_the_order_of_the_images() -> None:
    scores = np.zeros(4, dtype=np.float32)
    first = np.array([PRESENT, ABSENT, ABSENT, ABSENT], dtype=np.int8)
    for labels in (first, first[::-1].copy()):
        assert average_precision(scores, labels) == 0.25
        assert interpolated_average_precision(scores, labels) == 0.25


@pytest.mark.parametrize("seed", range(5))
def test_decision_metrics_are_what_a_loop_over_cells_gives(seed: int) -> None:
    scores, labels = draw(seed)
    got = evaluate(scores, labels, names(6))
    np.testing.assert_allclose([getattr(got, f) for f in MEANS], means_by_hand(scores, labels), atol=1e-12)
    np.testing.assert_allclose([getattr(got, f) for f in TOP3], means_by_hand(scores, labels, 3), atol=1e-12)
    assert got.op != got.op_top3


def test_cf1_is_the_harmonic_mean_of_cp_and_cr_and_not_the_mean_of_the_classes_f1() -> None:
    scores = np.array([[1, 1], [1, -1], [1, -1], [1, -1]], dtype=np.float32)
    labels = np.array([[1, 1], [0, 1], [0, 1], [0, 0]], dtype=np.int8)
    got = evaluate(scores, labels, names(2))
    assert (got.cp, got.cr) == (0.625, pytest.approx(2 / 3))
    assert got.cf1 == pytest.approx(2 * 0.625 * (2 / 3) / (0.625 + 2 / 3))
    assert got.cf1 != pytest.approx((0.4 + 0.5) / 2)


def test_a_class_never_chosen_has_precision_zero() -> None:
    scores = np.array([[-1.0, 1.0], [-2.0, -1.0]], dtype=np.float32)
    labels = np.array([[1, 1], [0, 0]], dtype=np.int8)
    got = evaluate(scores, labels, names(2))
    assert (got.classes[0].precision, got.cp, got.op) == (0.0, 0.5, 1.0)


def test_the_top_3_are_sought_among_known_cells_and_keep_ties_together() -> None:
    scores = np.array([[9, 5, 4, 3, 3, 1]], dtype=np.float32)
    labels = np.array([[UNKNOWN, 1, 0, 1, 0, 0]], dtype=np.int8)
    assert highest(scores, labels, 3).tolist() == [[False, True, True, True, True, False]]
    assert highest(scores, labels, 9).tolist() == [[False, True, True, True, True, True]]


def test_the_threshold_moves_decisions_and_not_average_precision() -> None:
    scores, labels = draw(0)
    low, high = evaluate(scores, labels, names(6)), evaluate(scores, labels, names(6), threshold=1.0)
    assert low.map == high.map
    assert low.or_ > high.or_


def test_classes_that_cannot_be_scored_are_named_with_the_reason_and_averaged_nowhere() -> None:
    scores = np.array([[2, 1, 1, 1], [1, -1, 1, 1], [-1, 1, 1, 1]], dtype=np.float32)
    labels = np.array([[1, 0, 1, -1], [0, 0, 1, -1], [0, -1, -1, -1]], dtype=np.int8)
    got = evaluate(scores, labels, ["cat", "dog", "sky", "moon"])
    assert got.skipped == {
        "dog": "no known present label among 2 known",
        "sky": "no known absent label among 2 known",
        "moon": "no label is known",
    }
    assert np.isnan(got.ap).tolist() == [False, True, True, True]
    assert (got.map, got.map_interpolated, got.cp, got.cr) == (1.0, 1.0, 0.5, 1.0)
    assert got.op == pytest.approx(3 / 5)  # over cells: the known cells of dog and sky take part
    assert (got.known, got.images, [c.name for c in got.scored]) == (7, 3, ["cat"])


def test_where_no_class_can_be_scored_there_is_no_mean_rather_than_a_zero() -> None:
    got = evaluate(np.zeros((2, 2), np.float32), np.full((2, 2), UNKNOWN, np.int8), names(2))
    assert all(np.isnan(value) for value in got.numbers.values())
    assert len(got.numbers) == 14
    assert Evaluation.from_json(got.to_json()).to_json() == got.to_json()


@given(tables(), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_scores_of_unknown_cells_never_change_a_metric(
    table: tuple[np.ndarray, np.ndarray], seed: int
) -> None:
    scores, labels = table
    noise = np.random.default_rng(seed).choice([-9.0, 0.1, 9.0, np.nan, np.inf], scores.shape)
    other = np.where(labels == UNKNOWN, noise, scores).astype(np.float32)
    classes = names(labels.shape[1])
    assert evaluate(other, labels, classes).to_json() == evaluate(scores, labels, classes).to_json()


@given(tables(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_permuting_classes_and_images_permutes_the_classes_and_changes_nothing_else(
    table: tuple[np.ndarray, np.ndarray], random
) -> None:
    scores, labels = table
    rows, columns = list(range(labels.shape[0])), list(range(labels.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    straight = evaluate(scores, labels, names(len(columns)))
    mixed = evaluate(
        scores[rows][:, columns], labels[rows][:, columns], [names(len(columns))[c] for c in columns]
    )
    assert [repr(mixed.classes[columns.index(c)]) for c in columns] == [
        repr(straight.classes[c]) for c in columns
    ]
    assert list(mixed.numbers.values()) == pytest.approx(list(straight.numbers.values()), nan_ok=True)


@given(tables())
@settings(deadline=None)
def test_a_rising_transform_of_the_scores_leaves_average_precision_alone(
    table: tuple[np.ndarray, np.ndarray],
) -> None:
    scores, labels = table
    classes = names(labels.shape[1])
    straight, bent = evaluate(scores, labels, classes), evaluate(np.exp(scores) - 7, labels, classes)
    np.testing.assert_array_equal(bent.ap, straight.ap)
    np.testing.assert_array_equal(bent.ap_interpolated, straight.ap_interpolated)


@given(tables())
@settings(deadline=None)
def test_interpolated_is_never_below_plain_and_both_are_shares(table: tuple[np.ndarray, np.ndarray]) -> None:
    got = evaluate(*table, names(table[1].shape[1]))
    scored = [c for c in got.classes if c.skipped is None]
    assert all(0 < c.ap <= c.ap_interpolated + 1e-12 <= 1 + 2e-12 for c in scored)


def test_an_evaluation_survives_json_and_files(tmp_path: Path) -> None:
    scores, labels = draw(3)
    labels[:, 2] = UNKNOWN
    got = evaluate(scores, labels, ['"a"', "é", "<b>", "d", "e", "f"])
    got.save(tmp_path / "evaluation.json")
    back = Evaluation.load(tmp_path / "evaluation.json")
    assert repr(back) == repr(got)
    assert "NaN" not in got.to_json()


def test_the_terminal_table_names_both_definitions_and_what_was_left_out() -> None:
    scores, labels = draw(3)
    labels[:, 2] = UNKNOWN
    console = Console(width=120)
    with console.capture() as shown:
        console.print(evaluate(scores, labels, ["[red]cat", "b", "moon", "d", "e", "f"]))
    assert "[red]cat" in shown.get()
    assert "not scored: moon (no label is known)" in shown.get()
    assert "interpolated" in shown.get()
    assert "5 of 6 classes" in shown.get()


def test_scores_that_are_no_numbers_are_refused_by_class_and_row() -> None:
    scores, labels = np.zeros((3, 2), np.float32), np.zeros((3, 2), np.int8)
    scores[1, 1] = np.nan
    with pytest.raises(
        ValueError, match=r"1 scores of known labels are not finite \(classes: dog; rows: 1\)"
    ):
        evaluate(scores, labels, ["cat", "dog"])


def test_a_wrong_number_of_classes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scores are \(3, 2\), labels \(3, 2\) and there are 1 classes"):
        evaluate(np.zeros((3, 2), np.float32), np.zeros((3, 2), np.int8), ["cat"])


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_pseudo_labels_are_counted_on_unknown_cells_and_checked_where_the_truth_is_known(kind) -> None:
    labels = kind(np.array([[1, -1, -1, -1], [-1, -1, 0, -1]], dtype=np.int8))
    truth = kind(np.array([[1, 1, 0, 1], [-1, 1, 0, 0]], dtype=np.int8))
    weight = np.array([[1, 1, 1, 0], [1, 0, 1, 0.5]], dtype=np.float32)
    value = np.array([[1, 1, 1, 1], [1, 1, 1, 0.2]], dtype=np.float32)
    quality = PseudoLabelQuality()
    quality.update({"intra": SimpleNamespace(value=kind(value), weight=kind(weight))}, labels, truth)
    got = quality.compute()["intra"]
    # present: (0,1) right, (0,2) wrong, (1,0) nobody knows; absent: (1,3) right; hidden and present: (0,1) (0,3) (1,1)
    assert got == Quality(3, 2, 1, 3, 1, 1, 1)
    assert (got.precision, got.recall, got.precision_absent) == (0.5, pytest.approx(1 / 3), 1.0)


def test_pseudo_labels_add_up_over_batches_and_sources_are_kept_apart() -> None:
    labels = torch.full((2, 3), UNKNOWN, dtype=torch.int8)
    truth = torch.tensor([[1, 0, 1], [0, 0, 1]], dtype=torch.int8)
    everything, nothing = torch.ones(2, 3, dtype=torch.bool), torch.zeros(2, 3, dtype=torch.bool)
    quality = PseudoLabelQuality()
    for _ in range(2):
        quality.update(
            {"intra": Targets.present(everything), "cross": Targets.present(nothing)}, labels, truth
        )
    got = quality.compute()
    assert (got["intra"].count, got["intra"].precision, got["intra"].recall) == (12, 0.5, 1.0)
    assert (got["cross"].count, got["cross"].recall) == (0, 0.0)
    assert np.isnan(got["cross"].precision)
    quality.reset()
    assert quality.compute() == {}


def test_without_truth_pseudo_labels_are_counted_but_not_judged() -> None:
    labels = torch.tensor([[PRESENT, UNKNOWN]], dtype=torch.int8)
    quality = PseudoLabelQuality()
    quality.update({"intra": Targets.present(torch.ones(1, 2, dtype=torch.bool))}, labels)
    got = quality.compute()["intra"]
    assert (got.count, got.checked) == (1, 0)
    assert np.isnan(got.precision)
    assert np.isnan(got.recall)
