"""A small collection whose labels can be told from texts better than from images."""

import torch

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.targets import Targets
from partlabel.core.types import TextFeatures
from partlabel.transfer.sources import Observed

IMAGES, CLASSES, DIM = 300, 4, 12


def collection(known: float = 0.3, without_text: float = 0.0, seed: int = 0, shuffled: bool = False):
    """Make labels, half of them unknown, weak logits and telling texts; returns what is given, and the truth."""
    random = torch.Generator().manual_seed(seed)
    truth = (torch.rand(IMAGES, CLASSES, generator=random) < 0.3).float()
    weak = 0.7 * (2 * truth - 1) + torch.randn(IMAGES, CLASSES, generator=random)
    vectors = truth @ torch.randn(CLASSES, DIM, generator=random) + 0.3 * torch.randn(
        IMAGES, DIM, generator=random
    )
    mentions = truth * (torch.rand(IMAGES, CLASSES, generator=random) < 0.4)
    available = torch.rand(IMAGES, generator=random) >= without_text
    text = TextFeatures(
        vectors * available[:, None], mentions * 0.5, mentions * available[:, None], available
    )
    if shuffled:
        text = text.rows(torch.randperm(IMAGES, generator=torch.Generator().manual_seed(seed)))
    labels = torch.where(truth > 0, PRESENT, ABSENT).to(torch.int8)
    labels[torch.rand(IMAGES, CLASSES, generator=random) >= known] = UNKNOWN
    fold = torch.arange(IMAGES) % 3
    return Observed(labels, Targets.known(labels), fold, weak, None, text), truth
