"""The criterion of the search, against plain calibration and cases that can be worked out by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from partlabel.calibration import calibrate
from partlabel.codes import PRESENT, UNKNOWN
from partlabel.data import hiding
from partlabel.selection.explained import costs, unexplained


def _problem(images=400, classes=6, seed=0, share=0.2):
    random = np.random.RandomState(seed)
    truth = (random.random_sample((images, classes)) < share).astype(np.int8)
    logits = torch.from_numpy(random.normal(size=truth.shape) + 2 * truth - 3).float()
    return logits, truth


def test_costs_are_those_of_the_calibration_of_logits_centred_on_the_known_share():
    logits, truth = _problem()
    labels = torch.from_numpy(hiding.uniform(truth, 0.4, seed=1))
    present, cells = labels == PRESENT, labels != UNKNOWN
    prior = ((present.sum(0) + 0.5) / (cells.sum(0) + 1)).logit()
    plain = calibrate(logits - logits.mean(0) + prior, prior, labels)
    assert float(costs(logits, present, cells).calibrated.sum()) == pytest.approx(plain.cost, rel=1e-4)


def test_the_constant_costs_the_entropy_of_the_cells():
    present = torch.tensor([[True], [False], [False], [False], [True]])
    cells = torch.tensor([[True], [True], [True], [True], [False]])
    found = costs(torch.zeros(5, 1), present, cells).constant
    assert float(found) == pytest.approx(-np.log(1 / 4) - 3 * np.log(3 / 4))  # one of four cells is present


def test_useless_logits_leave_all_and_perfect_ones_next_to_nothing():
    logits, truth = _problem()
    labels = torch.from_numpy(truth)
    assert unexplained(torch.zeros_like(logits), labels) == pytest.approx(1, abs=0.01)
    assert unexplained(50 * (labels.float() - 0.5), labels) < 0.01


@settings(max_examples=20)
@given(st.floats(0.5, 2), st.floats(-3, 3))
def test_a_slope_and_a_shift_of_the_logits_hardly_matter(slope, shift):
    logits, truth = _problem()
    labels = torch.from_numpy(hiding.editor(truth, seed=1))
    assert unexplained(slope * logits + shift, labels) == pytest.approx(
        unexplained(logits, labels), abs=0.005
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
    assert unexplained(logits, labels) < unexplained(logits + noise, labels)


def test_a_rare_class_counts_as_much_as_a_common_one():
    logits, truth = _problem(classes=1, share=0.5, images=3000)
    rare, rare_truth = _problem(classes=1, share=0.02, images=3000, seed=7)
    labels = torch.from_numpy(np.concatenate([truth, rare_truth], 1))
    alone = [unexplained(logits, labels[:, :1]), unexplained(rare, labels[:, 1:])]
    assert unexplained(torch.cat([logits, rare], 1), labels) == pytest.approx(np.mean(alone), abs=0.01)


def test_a_class_without_a_known_presence_does_not_count():
    logits, truth = _problem(classes=3)
    truth[:, 2] = 0
    labels = torch.from_numpy(truth)
    assert unexplained(logits, labels) == pytest.approx(unexplained(logits[:, :2], labels[:, :2]), abs=0.005)


def test_a_table_without_any_presence_has_a_cost_too():
    logits, _ = _problem(classes=3)
    assert np.isfinite(unexplained(logits, torch.zeros(logits.shape, dtype=torch.int8)))
