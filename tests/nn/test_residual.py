import torch

from partlabel.nn.classes import Classes
from partlabel.nn.heads.average import Average
from partlabel.nn.heads.residual import Residual

CLASSES = Classes(("a", "b", "c"), prevalence=torch.tensor([0.5, 0.1, 0.9]))


def fitted(head, maps):
    """A head that has seen these maps often enough for its statistics to be theirs."""
    head.train()
    with torch.no_grad():
        for _ in range(200):
            head(maps)
    return head.eval()


def test_it_begins_with_the_prevalence_and_uniform_attention_whatever_the_image():
    out = Residual(4, CLASSES).eval()(torch.randn(2, 4, 3, 3))
    torch.testing.assert_close(out.logits.sigmoid(), torch.tensor([[0.5, 0.1, 0.9]] * 2))
    torch.testing.assert_close(out.attention, torch.full((2, 3, 3, 3), 1 / 9))


def test_without_power_and_sharpness_it_is_the_plain_linear_head():
    torch.manual_seed(0)
    maps, weight = torch.randn(32, 4, 3, 3) * 3 + 1, torch.randn(3, 4)
    ours, plain = (
        fitted(Residual(4, CLASSES, sharpness=0.0, power=1.0), maps),
        fitted(Average(4, CLASSES), maps),
    )
    ours.weight.data.copy_(weight)
    plain.linear.weight.data.copy_(weight)
    torch.testing.assert_close(ours(maps).logits, plain(maps).logits, rtol=1e-4, atol=1e-4)


def test_features_sum_to_the_logit_and_follow_the_attention_place_by_place():
    torch.manual_seed(0)
    maps = torch.randn(8, 4, 2, 2)
    head = fitted(Residual(4, CLASSES, sharpness=0.7), maps)
    head.weight.data.normal_()
    out = head(maps)
    torch.testing.assert_close(out.features.sum(2) + head.bias, out.logits)
    rooted = maps.sign() * maps.abs().sqrt()
    norm = head.standardise
    x = (rooted - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()
    for b in range(2):
        for c in range(3):
            places = x[b].flatten(1).T
            attention = torch.softmax(0.7 * places @ head.weight[c], 0)
            torch.testing.assert_close(out.attention[b, c].flatten(), attention, rtol=1e-4, atol=1e-5)
            feature = head.weight[c] * sum(a * place for a, place in zip(attention, places, strict=True))
            torch.testing.assert_close(out.features[b, c], feature, rtol=1e-3, atol=1e-5)


def test_one_image_in_training_uses_what_is_known_of_the_channels():
    maps = torch.randn(16, 4, 2, 2)
    head = fitted(Residual(4, CLASSES), maps)
    before = head.standardise.running_mean.clone()
    torch.testing.assert_close(head.train()(maps[:1]).logits, head.eval()(maps[:1]).logits)
    assert torch.equal(head.standardise.running_mean, before)


def test_copies_take_what_one_of_them_prepared_and_come_to_the_same():
    torch.manual_seed(0)
    maps, head = torch.randn(4, 4, 3, 3), Residual(4, CLASSES).eval()
    head.weight.data.normal_()
    prepared = head.prepare(maps)
    assert head.prepare(prepared) is prepared
    assert torch.equal(head(prepared).logits, head(maps).logits)
    assert not prepared.detach().map.requires_grad


def test_under_autocast_the_head_computes_in_float32():
    torch.manual_seed(0)
    maps = torch.randn(8, 4, 2, 2)
    head = fitted(Residual(4, CLASSES), maps)
    head.weight.data.normal_()
    with torch.autocast("cpu", torch.bfloat16):
        found = head(maps)
    assert torch.equal(found.logits, head(maps).logits) and found.features.dtype == torch.float32
