"""The kernel of a whole table: each part of it votes as if it were compared by itself."""

import pytest
import torch

from partlabel.transfer import table_kernel
from partlabel.transfer.soft_memory import SoftMemory
from partlabel.transfer.table_kernel import TableKernel

SHARP = 30.0


@pytest.fixture
def table():
    random = torch.Generator().manual_seed(0)
    return torch.randn(40, 5, generator=random), torch.rand(40, 3, generator=random).half().float()


def naive_votes(features, probability, rows, asked, as_new):
    """Loop over images: sums of exp(s cos), each image that votes weighed by its probability."""
    unit = torch.nn.functional.normalize(features.double(), dim=1)
    stored = unit.half().double()
    found = torch.zeros(len(asked), probability.shape[1], dtype=torch.float64)
    for place, image in enumerate(asked.tolist()):
        for column in range(probability.shape[1]):
            sums = []
            for share in (probability[:, column].double(), 1 - probability[:, column].double()):
                voters = [row for row in rows.tolist() if as_new or row != image]
                density = sum(share[row] * torch.exp(SHARP * (unit[image] @ stored[row])) for row in voters)
                sums.append(density / share[rows].sum())
            found[place, column] = (sums[0] / sums[1]).log()
    return found


@pytest.mark.parametrize("as_new", [False, True])
def test_votes_of_a_part_are_those_of_a_loop_over_its_images(table, as_new):
    features, probability = table
    rows, asked = torch.arange(0, 40, 3), torch.arange(0, 40, 2)
    found = TableKernel.of(features, SHARP).votes(rows, probability[rows], asked, as_new)
    expected = naive_votes(features, probability, rows, asked, as_new)
    torch.testing.assert_close(found.double(), expected, atol=1e-4, rtol=1e-4)


def test_votes_of_a_part_are_those_of_a_memory_that_holds_it(table, monkeypatch):
    monkeypatch.setattr(table_kernel, "AT_ONCE", 7)
    features, probability = table
    rows, others = torch.arange(25), torch.arange(25, 40)
    memory = SoftMemory(3, 100, 5)
    memory.store(features[rows], probability[rows])
    kernel = TableKernel.of(features, SHARP)
    for asked, own, as_new in ((rows, rows, False), (rows, None, True), (others, None, True)):
        found = kernel.votes(rows, probability[rows], asked, as_new)
        torch.testing.assert_close(found, memory.votes(features[asked], SHARP, own), atol=1e-4, rtol=1e-4)


def test_large_tables_and_sharp_kernels_are_not_stored():
    assert TableKernel.suits(table_kernel.MOST, 50.0)
    assert not TableKernel.suits(table_kernel.MOST + 1, 50.0)
    assert not TableKernel.suits(10, table_kernel.SHARPEST + 1)
