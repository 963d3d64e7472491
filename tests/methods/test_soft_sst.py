import torch
from torch import nn

from partlabel.labels import UNKNOWN
from partlabel.methods import Batch, Progress
from partlabel.methods.soft_sst import SoftSST
from partlabel.nn.classes import Classes
from partlabel.nn.heads.average import Average

CENTRES = torch.eye(3) * 4


class Same(nn.Module):
    channels = 3

    def forward(self, images):
        return images


def scenes(n, seed, known=0.3):
    """Images near one of three points; class c is present near point c."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.randint(3, (n,), generator=generator)
    truth = nn.functional.one_hot(kind, 3).to(torch.int8)
    images = (CENTRES[kind] + torch.randn(n, 3, generator=generator))[..., None, None]
    hidden = torch.rand(truth.shape, generator=generator) > known
    return Batch(images, truth.masked_fill(hidden, UNKNOWN), torch.arange(n)), truth


def method():
    """With a head that knows little: the right classes, and noise of the same size."""
    head = Average(3, Classes(("a", "b", "c")))
    noise = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    head.linear.weight.data.copy_(0.3 * torch.eye(3) + 0.3 * noise)
    return SoftSST(Same(), head, start_epoch=1, memory_size=200)


def test_before_any_validation_the_vote_is_worth_nothing():
    model = method()
    batch, _ = scenes(30, 0)
    model.step(batch, Progress())
    model.eval()
    assert torch.equal(model(batch.images), model.head(batch.images).logits)


def test_validation_finds_that_the_vote_of_similar_images_helps():
    model = method()
    batch, _ = scenes(100, 0)
    model.step(batch, Progress())
    val, truth = scenes(100, 1)
    model.eval()
    model.validate(val)
    logits = model.end_validation()
    assert model.worth > 0
    torch.testing.assert_close(model(val.images), logits)
    right, alone = (
        float(((said > said.median(0).values) == (truth == 1)).float().mean())
        for said in (logits, model.head(val.images).logits)
    )
    assert right > alone + 0.02


def test_pseudo_labels_are_soft_and_come_from_the_head_as_it_was_when_transfer_began():
    model = method()
    batch, truth = scenes(100, 0)
    model.step(batch, Progress())
    model.eval()
    model.validate(scenes(100, 1)[0])
    model.end_validation()
    model.train()
    start = Progress(epoch=1, step=1)
    first = model.step(batch, start).pseudo_labels["cross"]
    unknown = batch.labels == UNKNOWN
    assert (first.weight == unknown).all()
    told = first.value[unknown & (truth == 1)].mean() - first.value[unknown & (truth == 0)].mean()
    assert told > 0.1 and first.value.min() > 0 and first.value.max() < 1
    model.head.linear.weight.data.normal_(std=10)
    later = model.step(batch, Progress(epoch=1, step=2, batch=1, batches=2)).pseudo_labels["cross"]
    assert (later.value - first.value)[unknown].abs().max() < 0.2  # more is remembered by now, nothing else
