"""A method on a trunk whose features are not zero, for tests of what compares them."""

import torch
from torch import nn

from partlabel.core.types import Batch
from partlabel.nn.classes import Classes
from partlabel.nn.heads.residual import Residual
from partlabel.nn.heads.ssgrl import SSGRL

CLASSES, CHANNELS = 5, 6


class Same(nn.Module):
    """A backbone whose images are feature maps."""

    channels = CHANNELS

    def forward(self, images):
        return images


def residual():
    torch.manual_seed(0)
    head = Residual(CHANNELS, Classes(tuple("abcde"), torch.eye(CLASSES)))
    nn.init.normal_(head.weight)
    return head


def ssgrl():
    torch.manual_seed(0)
    classes = Classes(tuple("abcde"), torch.randn(CLASSES, 4), torch.rand(CLASSES, CLASSES))
    return SSGRL(CHANNELS, classes, dim=8, attention_dim=7, output_dim=9)


def batch(images=6, seed=1, fill=None):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(-1, 2, (images, CLASSES), generator=generator).to(torch.int8)
    if fill is not None:
        labels = torch.full_like(labels, fill)
    return Batch(torch.randn(images, CHANNELS, 4, 4, generator=generator), labels, torch.arange(images))
