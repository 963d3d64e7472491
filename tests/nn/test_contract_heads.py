"""What every head in the folder keeps, and what the plain ones promise."""

import inspect

import pytest
import torch

from partlabel.nn import heads
from partlabel.nn.classes import Classes
from partlabel.nn.heads.average import Average
from partlabel.nn.heads.boost_lu import BoostLU
from partlabel.nn.heads.class_attention import ClassAttention
from partlabel.nn.heads.max import Max
from partlabel.nn.heads.mldecoder import MLDecoder
from partlabel.nn.heads.residual import Residual

CHANNELS, CLASSES = 6, 5
SMALL = {"dim": 8, "attention_dim": 7, "output_dim": 9}

every_head = pytest.mark.parametrize("name", heads.names())


def build(kind, **options):
    torch.manual_seed(0)
    names = tuple(f"class {n}" for n in range(CLASSES))
    classes = Classes(names, torch.randn(CLASSES, 4), torch.rand(CLASSES, CLASSES))
    small = {k: v for k, v in SMALL.items() if k in inspect.signature(kind).parameters}
    head = kind(CHANNELS, classes, **(small | options))
    for parameter in head.parameters():
        if (parameter == 0).all():
            parameter.data.normal_()
    return head.eval()


def maps(n=3, size=4):
    return torch.randn(n, CHANNELS, size, size, generator=torch.Generator().manual_seed(1))


@every_head
def test_what_it_says_fits_what_it_promises(name):
    head, given = build(heads.get(name)), maps()
    out = head(given)
    assert out.logits.shape == (3, CLASSES) and out.logits.isfinite().all()
    assert (out.features is not None) == bool(head.feature_dim)
    if out.features is not None:
        assert out.features.shape == (3, CLASSES, head.feature_dim)
    assert (out.image is not None) == bool(head.image_dim)
    if out.image is not None:
        assert out.image.shape == (3, head.image_dim)
    if out.attention is not None:
        torch.testing.assert_close(out.attention.sum((2, 3)), torch.ones(3, CLASSES))


@every_head
def test_an_image_is_judged_alike_alone_and_among_others(name):
    head, given = build(heads.get(name)), maps()
    torch.testing.assert_close(head(given[1:2]).logits, head(given).logits[1:2], rtol=1e-4, atol=1e-5)


@every_head
@pytest.mark.parametrize("n", [1, 4])
def test_it_learns_from_any_batch_and_map_of_any_size(name, n):
    head = build(heads.get(name)).train()
    for size in (2, 3):
        head(maps(n, size)).logits.square().sum().backward()
    for parameter, value in head.named_parameters():
        if value.requires_grad:
            assert value.grad is not None and value.grad.isfinite().all(), parameter


@every_head
def test_what_it_teaches_the_backbone_is_finite_where_a_rectified_map_is_zero(name):
    head, given = build(heads.get(name)).train(), maps().relu().requires_grad_()
    head(given).logits.square().sum().backward()
    assert (given == 0).any() and given.grad.isfinite().all()


@every_head
def test_class_maps_turn_with_the_image_or_are_refused(name):
    head, given = build(heads.get(name)), maps(size=3)
    if not head.has_class_maps:
        with pytest.raises(NotImplementedError, match=f"the head {type(head).__name__} gives no class maps"):
            head.class_maps(given)
        return
    found = head.class_maps(given)
    assert found.shape == (3, CLASSES, 3, 3)
    torch.testing.assert_close(head.class_maps(given.flip(3)).flip(3), found)


@pytest.mark.parametrize("kind", [Average, BoostLU])
def test_the_mean_of_a_class_map_is_the_logit(kind):
    head, given = build(kind), maps() * 3 + 1
    head.standardise.running_mean.normal_()
    head.standardise.running_var.uniform_(0.5, 2)
    torch.testing.assert_close(head.class_maps(given).mean((2, 3)), head(given).logits, rtol=1e-4, atol=1e-5)


def test_the_attention_of_a_head_is_where_its_class_maps_are_high():
    head, given = build(ClassAttention, sharpness=2.0), maps()
    expected = (2 * head.class_maps(given).flatten(2)).softmax(-1)
    torch.testing.assert_close(head(given).attention.flatten(2), expected)


def standardised(head, given):
    """With fresh running moments: as it is, but for the epsilon."""
    return given / (1 + head.standardise.eps) ** 0.5


def test_max_takes_the_strongest_response_anywhere():
    head, given = build(Max), maps()
    weight, bias = head.linear.weight, head.linear.bias
    expected = standardised(head, given).flatten(2).max(2).values @ weight.T + bias
    torch.testing.assert_close(head(given).logits, expected)


def test_boost_lu_multiplies_what_speaks_for_a_class_by_five():
    head, given = build(BoostLU), maps()
    expected = torch.zeros(3, CLASSES)
    for b in range(3):
        for c in range(CLASSES):
            scores = [
                (head.weight[c] @ place + head.bias[c]).item()
                for place in standardised(head, given)[b].flatten(1).T
            ]
            expected[b, c] = sum(5 * s if s > 0 else s for s in scores) / len(scores)
    torch.testing.assert_close(head(given).logits, expected)


@pytest.mark.parametrize("kind", [Average, Max, Residual, ClassAttention, BoostLU])
def test_a_head_that_has_learned_nothing_says_how_often_each_class_is_present(kind):
    prevalence = torch.tensor([0.02, 0.5, 0.9])
    head = kind(CHANNELS, Classes(tuple("abc"), prevalence=prevalence)).eval()
    torch.testing.assert_close(head(maps()).logits.sigmoid(), prevalence.expand(3, 3))


def test_a_boost_of_one_is_the_plain_head():
    head, plain, given = build(BoostLU, factor=1.0), build(Average), maps()
    plain.linear.weight.data.copy_(head.weight)
    plain.linear.bias.data.copy_(head.bias)
    torch.testing.assert_close(head(given).logits, plain(given).logits)


def test_class_attention_adds_a_share_of_the_attended_score():
    head, given = build(ClassAttention, share=0.3, sharpness=2.0), maps()
    out = head(given)
    for b in range(3):
        for c in range(CLASSES):
            scores = head.weight[c] @ standardised(head, given)[b].flatten(1)
            attended = (torch.softmax(2 * scores, 0) * scores).sum()
            torch.testing.assert_close(out.logits[b, c], scores.mean() + 0.3 * attended + head.bias[c])
    torch.testing.assert_close(out.features.sum(2) + head.bias, out.logits)


def test_sharp_class_attention_is_the_maximum():
    head, given = build(ClassAttention, share=1.0, sharpness=1e4), maps()
    scores = torch.einsum("cd,bdhw->bchw", head.weight, standardised(head, given)).flatten(2)
    torch.testing.assert_close(head(given).logits, scores.mean(2) + scores.max(2).values + head.bias)


def test_ml_decoder_of_few_groups_still_has_every_class():
    head = build(MLDecoder, groups=2)
    assert head(maps()).logits.shape == (3, CLASSES)
    assert head.decoder.query_embed.weight.shape[0] == 2


def test_ml_decoder_looks_at_all_places_in_any_order():
    head, given = build(MLDecoder), maps()
    turned = given.flip(3)
    torch.testing.assert_close(head(turned).logits, head(given).logits, rtol=1e-4, atol=1e-5)
    changed = given.clone()
    changed[:, :, 0, 0] += 3
    assert not torch.allclose(head(changed).logits, head(given).logits, atol=1e-4)


def test_ml_decoder_refuses_a_width_that_its_attention_cannot_share_out():
    with pytest.raises(ValueError, match="dim is 12; it has to be a multiple of 8"):
        build(MLDecoder, dim=12)
