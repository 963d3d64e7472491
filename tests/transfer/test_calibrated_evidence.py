"""Evidence from any source: its weight, its units, and names of buffers that saved models rely on."""

import pytest
import torch
from torch import nn

from partlabel.core.collected_rows import CollectedRows
from partlabel.transfer.calibrated_evidence import CalibratedEvidence


class Added(CalibratedEvidence):
    def __init__(self, num_classes):
        nn.Module.__init__(self)
        self.register_evidence(num_classes)


@pytest.fixture
def truth():
    return torch.randint(0, 2, (400, 6), generator=torch.Generator().manual_seed(0)).to(torch.int8)


def noise(number):
    return torch.randn(400, 6, generator=torch.Generator().manual_seed(number))


def test_evidence_that_says_nothing_has_no_weight(truth):
    added = Added(6)
    added.weigh(truth + noise(1), noise(2), truth)
    assert added.worth == 0
    assert (added.in_logits(noise(3)) == 0).all()


def test_evidence_has_the_same_effect_in_any_unit(truth):
    logits, evidence = truth + noise(1), truth + noise(2)
    plain, scaled = Added(6), Added(6)
    plain.weigh(logits, evidence, truth)
    scaled.weigh(logits, 1000 * evidence - 7, truth)
    assert plain.worth > 0
    torch.testing.assert_close(
        plain.in_logits(evidence), scaled.in_logits(1000 * evidence - 7), rtol=1e-4, atol=1e-3
    )


def test_saved_models_have_these_names():
    assert sorted(Added(2).state_dict()) == sorted(
        ["anchor", "centre", "offset", "scale", "slope", "spread", "taught_offset", "taught_slope", "worth"]
    )


def test_collected_rows_are_used_once():
    rows = CollectedRows()
    for start in (0, 2):
        rows.add(torch.arange(start, start + 2), torch.zeros(2, 3))
    assert len(rows) == 4
    numbers, zeros = rows.take()
    assert numbers.tolist() == [0, 1, 2, 3] and zeros.shape == (4, 3)
    assert len(rows) == 0
