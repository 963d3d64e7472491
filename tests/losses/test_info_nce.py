"""InfoNCE against a double loop."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from partlabel.losses.info_nce import InfoNCE


def test_info_nce_is_the_double_loop():
    random = torch.Generator().manual_seed(0)
    images, texts = (normalize(torch.randn(5, 3, generator=random), dim=1) for _ in range(2))
    scale = 4.0
    total = 0.0
    for i in range(5):
        own = math.exp(scale * float(images[i] @ texts[i]))
        total -= math.log(own / sum(math.exp(scale * float(images[i] @ texts[j])) for j in range(5)))
        total -= math.log(own / sum(math.exp(scale * float(images[j] @ texts[i])) for j in range(5)))
    assert float(InfoNCE()(images, texts, torch.tensor(scale))) == pytest.approx(total / 10, rel=1e-5)


def test_pairs_that_match_cost_nothing_and_equal_vectors_cost_the_logarithm_of_their_number():
    eye = torch.eye(4)
    assert float(InfoNCE()(eye, eye, torch.tensor(100.0))) == pytest.approx(0.0, abs=1e-6)
    same = torch.ones(4, 1)
    assert float(InfoNCE()(same, same, torch.tensor(9.0))) == pytest.approx(math.log(4))
