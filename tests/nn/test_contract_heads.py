"""What every head in the folder keeps (`partlabel.testing`), and what the plain ones promise."""

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
from partlabel.testing import parametrize_with_checks
from partlabel.testing.heads import CHANNELS, CLASSES
from partlabel.testing.heads import build_head as build
from partlabel.testing.heads import example_maps as maps


@parametrize_with_checks([heads.get(name) for name in heads.names()])
def test_the_contract_of_heads_holds(kind, check):
    check(kind)


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
