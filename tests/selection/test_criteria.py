"""The criterion of the search, on cases that can be worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from partlabel.core.labels import PRESENT
from partlabel.data.tables import hiding
from partlabel.evaluation.metrics import average_precision
from partlabel.selection.criteria import FEW, average_precisions, relative_costs, unexplained


def _problem(images=400, classes=6, seed=0, share=0.2):
    random = np.random.RandomState(seed)
    truth = (random.random_sample((images, classes)) < share).astype(np.int8)
    logits = torch.from_numpy(random.normal(size=truth.shape) + 2 * truth - 3).float()
    return logits, truth


def mean_relative_cost(logits, labels):
    """Compute the mean relative cost of the classes with a known present label."""
    return float(relative_costs(logits, labels)[(labels == PRESENT).any(0)].mean())


def test_the_cost_of_a_class_is_relative_to_the_entropy_of_its_known_and_of_all_its_cells():
    # 2 of 3 known cells are present, and 2 of all 4; constant logits explain nothing, but the calibration's penalty
    # keeps the offset, which starts at the known share with half a label of either kind added, at 0.
    labels = torch.tensor([[1], [1], [0], [-1]], dtype=torch.int8)
    known, every = 2.5 / 4, 2.5 / 5
    cost = -2 * np.log(known) - np.log(1 - known) - 2 * np.log(every) - 2 * np.log(1 - every)
    entropy = -2 * np.log(2 / 3) - np.log(1 / 3) - 4 * np.log(1 / 2)
    assert mean_relative_cost(torch.zeros(4, 1), labels) == pytest.approx(cost / entropy, abs=0.002)


def test_useless_logits_leave_all_and_perfect_ones_next_to_nothing():
    logits, truth = _problem()
    labels = torch.from_numpy(truth)
    assert mean_relative_cost(torch.zeros_like(logits), labels) == pytest.approx(1, abs=0.01)
    assert mean_relative_cost(50 * (labels.float() - 0.5), labels) < 0.02


@settings(max_examples=10, deadline=None)
@given(st.floats(-6, 3), st.floats(-3, 3))
def test_the_scale_and_a_shift_of_the_logits_do_not_matter(exponent, shift):
    logits, truth = _problem()
    labels = torch.from_numpy(hiding.editor(truth, seed=1))
    moved = 10**exponent * logits.double() + shift
    assert unexplained(moved, labels) == pytest.approx(unexplained(logits, labels), abs=1e-4)


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        ("uniform", {"known": 0.2}),
        ("editor", {}),
        ("positives_only", {}),
        ("single_positive", {}),
        ("by_source", {"known": 0.2}),
    ],
)
def test_logits_that_rank_better_are_preferred_however_labels_are_missing(scheme, options):
    logits, truth = _problem(images=1500)
    labels = torch.from_numpy(hiding.hide_labels(truth, scheme, seed=1, **options))
    noise = torch.from_numpy(np.random.RandomState(5).normal(size=truth.shape)).float()
    for criterion in (mean_relative_cost, unexplained):
        assert criterion(logits, labels) < criterion(logits + noise, labels)


def test_a_rare_class_counts_as_much_as_a_common_one():
    logits, truth = _problem(classes=1, share=0.5, images=3000)
    rare, rare_truth = _problem(classes=1, share=0.02, images=3000, seed=7)
    labels = torch.from_numpy(np.concatenate([truth, rare_truth], 1))
    alone = [mean_relative_cost(logits, labels[:, :1]), mean_relative_cost(rare, labels[:, 1:])]
    assert mean_relative_cost(torch.cat([logits, rare], 1), labels) == pytest.approx(np.mean(alone), abs=0.01)


def test_a_class_without_a_known_presence_does_not_count():
    logits, truth = _problem(classes=3)
    truth[:, 2] = 0
    labels = torch.from_numpy(truth)
    assert unexplained(logits, labels) == pytest.approx(unexplained(logits[:, :2], labels[:, :2]), abs=0.005)


def test_a_table_without_any_presence_has_a_cost_too():
    logits, _ = _problem(classes=3)
    assert np.isfinite(unexplained(logits, torch.zeros(logits.shape, dtype=torch.int8)))


def test_average_precisions_are_those_of_the_metrics_on_the_same_labels():
    logits, truth = _problem(images=60)
    labels = hiding.uniform(truth, 0.5, seed=1)
    known = torch.from_numpy(labels)
    found = average_precisions(logits, known == 1, known != -1)
    each = [average_precision(logits[:, c].numpy(), labels[:, c]) for c in range(labels.shape[1])]
    np.testing.assert_allclose(found, each, rtol=1e-6)


def test_a_class_is_judged_by_its_likelihood_and_by_its_ranking_the_more_the_more_presences_are_known():
    logits, truth = _problem(classes=1)
    labels = torch.from_numpy(hiding.positives_only(truth))
    weight = truth.sum() / (truth.sum() + FEW)
    ranked = average_precision(
        logits[:, 0].numpy(), truth[:, 0]
    )  # no absence is known: all others count as absent
    expected = (1 - weight) * mean_relative_cost(logits, labels) + weight * (1 - ranked)
    assert unexplained(logits, labels) == pytest.approx(expected, abs=1e-4)
