import pytest
import torch
from torch import nn

from partlabel.core.labels import UNKNOWN
from partlabel.core.types import Batch, Progress
from partlabel.evaluation.calibration import calibrate
from partlabel.methods.soft_sst import SoftSST
from partlabel.nn.classes import Classes
from partlabel.nn.heads.average import Average
from partlabel.transfer.calibrated_evidence import ranks_better

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


def method(weight=0.3, noise=0.3, **options):
    """With a head that knows little: the right classes, and noise of the same size."""
    head = Average(3, Classes(("a", "b", "c")))
    drawn = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    head.linear.weight.data.copy_(weight * torch.eye(3) + noise * drawn)
    return SoftSST(Same(), head, start=0.5, **options)


FIRST, LATER = Progress(epochs=2), Progress(epoch=1, step=1, epochs=2)


def test_before_the_first_epoch_ends_the_vote_is_worth_nothing():
    model = method()
    batch, _ = scenes(30, 0)
    model.step(batch, Progress(batches=2, epochs=2))
    model.eval()
    assert torch.equal(model(batch.inputs), model.head(batch.inputs).logits)


def test_re_hidden_labels_find_that_the_vote_of_similar_images_helps():
    model = method()
    model.step(scenes(100, 0)[0], FIRST)
    assert model.worth > 0
    val, truth = scenes(100, 1)
    model.eval()
    right, alone = (
        float(((said > said.median(0).values) == (truth == 1)).float().mean())
        for said in (model(val.inputs), model.head(val.inputs).logits)
    )
    assert right > alone + 0.02


def test_a_vote_of_images_that_resemble_each_other_by_chance_is_worth_nothing():
    """Labels that hang on the images by a line that the head knows, features whose neighbours say nothing more."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(400, 3, generator=generator)
    labels = (torch.rand(400, 3, generator=generator) < (3 * images).sigmoid()).to(torch.int8)
    labels[torch.rand(400, 3, generator=generator) > 0.1] = UNKNOWN
    model = method(weight=3.0, noise=0.0)
    model.step(Batch(images[..., None, None], labels, torch.arange(400)), FIRST)
    assert model.worth <= 0.1


def test_copies_of_unequal_means_make_no_vote_look_better():
    """Each copy's bias runs against the labels it does not see; the worth is what it is with equal biases."""
    worths = []
    for shift in (0.0, 2.0):
        model = method()
        batch, _ = scenes(100, 0)
        for number, head in enumerate(model.folds):
            head.linear.bias.data += shift * (number - 1.5)
        model.step(batch, FIRST)
        worths.append((model.worth.item(), model.taught_slope.item()))
    assert worths[0] == pytest.approx(worths[1], rel=1e-2)


def test_a_copy_learns_nothing_from_its_share_of_the_images():
    model = method()
    batch, _ = scenes(8, 0, known=1.0)
    only_first_share = batch._replace(index=torch.full((8,), 4))
    terms = model.step(only_first_share, Progress(epochs=9, batches=2)).terms
    terms["bce_rehidden"].backward()
    gradients = [head.linear.weight.grad.abs().sum() for head in model.folds]
    assert gradients[0] == 0 and all(gradient > 0 for gradient in gradients[1:])


def test_pseudo_labels_are_soft_and_come_from_the_copies_and_not_the_head():
    model = method()
    batch, truth = scenes(100, 0)
    model.step(batch, FIRST)
    first = model.step(batch, LATER).pseudo_labels["cross"]
    unknown = batch.labels == UNKNOWN
    assert (first.weight == unknown).all()
    told = first.value[unknown & (truth == 1)].mean() - first.value[unknown & (truth == 0)].mean()
    assert told > 0.1 and first.value.min() > 0 and first.value.max() < 1
    model.head.linear.weight.data.normal_(std=10)
    again = model.step(batch, LATER).pseudo_labels["cross"]
    torch.testing.assert_close(again.value, first.value, atol=0.05, rtol=0)


def test_validation_finds_the_slope_at_which_it_is_as_sure_as_right():
    model = method(weight=9.0, noise=0.0)
    batch, _ = scenes(300, 0, known=1.0)
    model.step(batch, Progress(batches=2, epochs=3))
    model.eval()
    model.validate(batch)
    logits = model.end_validation()
    torch.testing.assert_close(model(batch.inputs), logits)
    assert 0.1 <= model.slope < 1


def test_slope_and_offsets_are_those_of_a_logistic_regression():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4000, 2, generator=generator) * 3
    labels = (torch.rand(4000, 2, generator=generator) < (logits / 2).sigmoid()).to(torch.int8)
    found = calibrate(logits + torch.tensor([0.0, 2.0]), torch.zeros(2), labels)
    assert found.slope.item() == pytest.approx(0.5, abs=0.03)
    assert found.offset.tolist() == pytest.approx([0, -1], abs=0.15)


def test_few_labels_leave_the_logits_as_they_are():
    found = calibrate(torch.randn(3, 2), torch.zeros(2), torch.full((3, 2), UNKNOWN, dtype=torch.int8))
    assert (found.slope.item(), found.offset.tolist(), found.cost) == (1, [0, 0], 0)


def test_fewer_than_two_copies_are_refused():
    with pytest.raises(ValueError, match="folds is 1; it has to be at least 2"):
        method(folds=1)


def test_a_ranking_is_better_where_most_classes_gain_and_not_where_one_gains_what_others_lose():
    labels = torch.tensor([[1, 1, 1], [1, 1, 1], [0, 0, 0], [0, 0, 0]], dtype=torch.int8).repeat(3, 1)
    right = torch.tensor([4.0, 3.0, 2.0, 1.0]).repeat(3)[:, None]
    half = torch.tensor([4.0, 2.0, 3.0, 1.0]).repeat(3)[:, None]
    assert ranks_better(right.expand(12, 3), half.expand(12, 3), labels)
    mixed = torch.cat([right, half, half], 1), torch.cat([half, right, half], 1)
    assert not ranks_better(*mixed, labels)
    assert not ranks_better(right.expand(12, 3), right.expand(12, 3), labels)
    few = torch.where(torch.arange(12)[:, None] < 8, labels, labels.clamp(max=0))
    assert (few == 1).sum(0).tolist() == [4, 4, 4]
    assert not ranks_better(right.expand(12, 3), half.expand(12, 3), few), (
        "four present labels decide nothing"
    )
