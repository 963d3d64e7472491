"""The criterion of the search, on cases that can be worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from partlabel.data import hiding
from partlabel.selection.criteria import relative_cross_entropy


def _problem(images=400, classes=6, seed=0, share=0.2):
    random = np.random.RandomState(seed)
    truth = (random.random_sample((images, classes)) < share).astype(np.int8)
    logits = torch.from_numpy(random.normal(size=truth.shape) + 2 * truth - 3).float()
    return logits, truth


def test_the_cost_of_a_class_is_relative_to_the_entropy_of_its_known_and_of_all_its_cells():
    # 2 of 3 known cells are present, and 2 of all 4; constant logits explain nothing, but the calibration's penalty
    # keeps the offset, which starts at the known share with half a label of either kind added, at 0.
    labels = torch.tensor([[1], [1], [0], [-1]], dtype=torch.int8)
    known, every = 2.5 / 4, 2.5 / 5
    cost = -2 * np.log(known) - np.log(1 - known) - 2 * np.log(every) - 2 * np.log(1 - every)
    entropy = -2 * np.log(2 / 3) - np.log(1 / 3) - 4 * np.log(1 / 2)
    assert relative_cross_entropy(torch.zeros(4, 1), labels) == pytest.approx(cost / entropy, abs=0.002)


def test_useless_logits_leave_all_and_perfect_ones_next_to_nothing():
    logits, truth = _problem()
    labels = torch.from_numpy(truth)
    assert relative_cross_entropy(torch.zeros_like(logits), labels) == pytest.approx(1, abs=0.01)
    assert relative_cross_entropy(50 * (labels.float() - 0.5), labels) < 0.01


@settings(max_examples=20)
@given(st.floats(0.5, 2), st.floats(-3, 3))
def test_a_slope_and_a_shift_of_the_logits_hardly_matter(slope, shift):
    logits, truth = _problem()
    labels = torch.from_numpy(hiding.editor(truth, seed=1))
    assert relative_cross_entropy(slope * logits + shift, labels) == pytest.approx(
        relative_cross_entropy(logits, labels), abs=0.005
    )


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
    labels = torch.from_numpy(hiding.hide(truth, scheme, seed=1, **options))
    noise = torch.from_numpy(np.random.RandomState(5).normal(size=truth.shape)).float()
    assert relative_cross_entropy(logits, labels) < relative_cross_entropy(logits + noise, labels)


def test_a_rare_class_counts_as_much_as_a_common_one():
    logits, truth = _problem(classes=1, share=0.5, images=3000)
    rare, rare_truth = _problem(classes=1, share=0.02, images=3000, seed=7)
    labels = torch.from_numpy(np.concatenate([truth, rare_truth], 1))
    alone = [relative_cross_entropy(logits, labels[:, :1]), relative_cross_entropy(rare, labels[:, 1:])]
    assert relative_cross_entropy(torch.cat([logits, rare], 1), labels) == pytest.approx(
        np.mean(alone), abs=0.01
    )


def test_a_class_without_a_known_presence_does_not_count():
    logits, truth = _problem(classes=3)
    truth[:, 2] = 0
    labels = torch.from_numpy(truth)
    assert relative_cross_entropy(logits, labels) == pytest.approx(
        relative_cross_entropy(logits[:, :2], labels[:, :2]), abs=0.005
    )


def test_a_table_without_any_presence_has_a_cost_too():
    logits, _ = _problem(classes=3)
    assert np.isfinite(relative_cross_entropy(logits, torch.zeros(logits.shape, dtype=torch.int8)))
