"""A method on logits that a test gives it."""

import torch
from torch import nn

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.types import Batch, Progress
from partlabel.nn.classes import Classes
from partlabel.nn.heads import ClassOutput, Head

P, A, U = PRESENT, ABSENT, UNKNOWN


class Given(Head):
    """The images are the logits."""

    def __init__(self, num_classes):
        super().__init__(1, Classes(tuple(f"class {n}" for n in range(num_classes))))

    def forward(self, feature_map):
        return ClassOutput(feature_map)


def build(kind, num_classes, **options):
    return kind(nn.Identity(), Given(num_classes), **options)


def take(method, logits, labels, rows=None, gradient=False, **progress):
    """A step on these logits and labels; the logits, and what came of it."""
    images = torch.tensor(logits).requires_grad_(gradient)
    rows = torch.arange(len(logits)) if rows is None else torch.tensor(rows)
    batch = Batch(images, torch.tensor(labels, dtype=torch.int8), rows)
    return images, method.step(batch, Progress(**progress))


def cost(logit, value=1.0):
    """Cross-entropy of one label."""
    p = torch.tensor(logit, dtype=torch.float64).sigmoid()
    return float(-(value * p.log() + (1 - value) * (1 - p).log()))
