"""SR: saliency by hand, the consistency of two views, and the erased square."""

import pytest
import torch
from torch import nn

from given import A, P, U, cost
from partlabel.core.types import Batch, Progress, StemOutput
from partlabel.methods._second_view import erase, second_view
from partlabel.methods.saliency import Saliency, mean_of_highest
from partlabel.nn import heads
from partlabel.nn.backbone import create
from partlabel.nn.classes import Classes
from partlabel.nn.heads import ClassOutput, Head
from partlabel.nn.heads.average import Average
from trunk import CHANNELS, Same
from trunk import batch as drawn

FIRST = [[1.0, 2.0], [3.0, -2.0]]  # mean 1; the two highest have mean 2.5
SECOND = [[-4.0, -4.0], [-4.0, 0.0]]  # mean -3; -2


class Maps(Head):
    """The feature map is the class maps, and their means the logits."""

    has_class_maps = True

    def __init__(self, num_classes=2):
        super().__init__(num_classes, Classes(tuple(f"class {n}" for n in range(num_classes))))

    def forward(self, feature_map):
        return ClassOutput(feature_map.mean((2, 3)))

    def class_maps(self, feature_map):
        return feature_map


def build(head=None, **options):
    return Saliency(Same(), head or Maps(), **({"places": 2, "erased": 0.0} | options))


def given(maps, labels):
    images = torch.tensor(maps, requires_grad=True)
    return Batch(images, torch.tensor(labels, dtype=torch.int8), torch.arange(len(labels)))


def learned_average():
    torch.manual_seed(0)
    head = Average(CHANNELS, Classes(tuple("abcde")))
    nn.init.normal_(head.linear.weight)
    return head


def test_the_logit_is_the_mean_and_half_the_mean_of_the_highest_scores():
    logits = build()(torch.tensor([[FIRST, SECOND]]))
    assert logits.tolist() == [[1 + 0.5 * 2.5, -3 + 0.5 * -2]]


def test_known_labels_are_fitted_and_a_sure_prediction_is_what_the_other_view_learns():
    terms, found = build().step(given([[FIRST, SECOND]], [[P, U]]), Progress())
    assert terms["bce"].item() == pytest.approx(cost(2.25))
    assert terms["consistency"].item() == pytest.approx(cost(-4.0, 0), rel=1e-4)
    assert found["consistent"].value[0, 1] == 0 and found["consistent"].weight.tolist() == [[0, 1]]


def test_known_labels_are_divided_by_how_many_are_known_in_the_batch():
    """Not image by image: the first has two, the second one."""
    terms, _ = build().step(given([[FIRST, SECOND], [FIRST, SECOND]], [[P, A], [U, P]]), Progress())
    assert terms["bce"].item() == pytest.approx((cost(2.25) + cost(-4.0, 0) + cost(-4.0)) / 3, rel=1e-5)


@pytest.mark.parametrize(("logit", "value", "weight"), [(0.5, 1, 1), (0.3, 0, 0), (-0.3, 0, 0), (-0.5, 0, 1)])
def test_what_is_less_sure_than_the_threshold_either_way_teaches_nothing(logit, value, weight):
    """A probability of 0.6 is a logit of 0.405."""
    maps = [[[[logit / 1.5]], [[0.0]]]]  # of one place, which counts once and half again
    found = build().step(given(maps, [[U, P]]), Progress())[1]["consistent"]
    assert (found.value[0, 0], found.weight[0, 0]) == (value, weight)


def test_the_highest_places_get_more_of_the_gradient_and_the_others_the_same():
    images = torch.tensor([[FIRST, SECOND]], requires_grad=True)
    build()(images)[0, 0].backward()
    assert images.grad[0, 0].tolist() == [[0.25, 0.25 + 0.25], [0.25 + 0.25, 0.25]]
    assert not images.grad[0, 1].any()


def test_pseudo_labels_pass_no_gradient_to_the_view_they_come_from():
    method, seen = build(), []

    def keep(module, images, logits):
        logits.retain_grad()
        seen.append(logits)

    method.register_forward_hook(keep)
    method.step(given([[FIRST, SECOND]], [[P, U]]), Progress()).terms["consistency"].backward()
    plain, other = seen[0].grad
    assert not plain.any() and other[1] != 0


def test_a_map_of_fewer_places_takes_all_there_are():
    torch.testing.assert_close(
        mean_of_highest(torch.tensor([[FIRST, SECOND]]), 5), torch.tensor([[1.0, -3.0]]), rtol=0, atol=0
    )


def test_on_a_map_of_one_place_saliency_is_a_share_of_the_logit_and_both_views_agree():
    head = learned_average().eval()
    method = build(head, places=5, erased=0.5)
    images = torch.randn(3, CHANNELS, 1, 1)
    torch.testing.assert_close(method(images), 1.5 * head(images).logits)
    batch = drawn(3)._replace(inputs=images)
    assert torch.equal(second_view(method, batch, Progress(), method.erased), images)


def test_class_maps_of_the_second_view_turned_back_are_those_of_the_first():
    head, given = learned_average().eval(), drawn()
    method = build(head)
    turned = head.class_maps(second_view(method, given, Progress(), method.erased))
    torch.testing.assert_close(turned.flip(3), head.class_maps(given.inputs))
    torch.testing.assert_close(method(given.inputs.flip(3)), method(given.inputs))


def test_a_square_of_each_view_becomes_its_mean():
    views = torch.arange(32.0).reshape(2, 1, 4, 4)
    found = erase(views, torch.tensor([[0.0, 0.0], [0.99, 0.5]]), 0.5)
    expected = views.clone()
    expected[0, 0, :2, :2] = 7.5
    expected[1, 0, 2:, 1:3] = 23.5
    assert torch.equal(found, expected)


@pytest.mark.parametrize(("share", "left"), [(0.0, 9), (0.5, 5), (1.0, 0)])
def test_so_much_of_the_sides_is_erased(share, left):
    views = torch.arange(9.0).reshape(1, 1, 3, 3).square()  # no place has the mean
    found = erase(views, torch.rand(1, 2), share)
    assert (found == views).sum() == left


def test_squares_differ_from_image_to_image_and_step_to_step_alone():
    method, batch = build(learned_average(), erased=0.5), drawn(20)
    first, again = (second_view(method, batch, Progress(step=3), method.erased) for _ in range(2))
    assert torch.equal(first, again)
    erased = (first != batch.inputs.flip(3)).any(1)
    assert len({tuple(each.flatten().tolist()) for each in erased}) > 3
    assert not torch.equal(first, second_view(method, batch, Progress(step=4), method.erased))


@pytest.mark.parametrize(
    ("options", "epoch", "views"),
    [({}, 0, 2), ({"consistency": 0.0}, 9, 1), ({"start_epoch": 2}, 1, 1), ({"start_epoch": 2}, 2, 2)],
)
def test_without_consistency_there_is_no_second_view(options, epoch, views):
    method, seen = build(**options), []
    method.backbone.register_forward_pre_hook(lambda _, images: seen.append(len(images[0])))
    terms = method.step(given([[FIRST, SECOND]], [[P, U]]), Progress(epoch=epoch)).terms
    assert seen == [views]
    assert terms["bce"].item() == pytest.approx(cost(2.25))
    assert set(terms) == ({"bce", "consistency"} if views == 2 else {"bce"})


@pytest.mark.parametrize("name", [name for name in heads.names() if not heads.get(name).has_class_maps])
def test_a_head_without_class_maps_is_refused_and_others_named(name):
    head = heads.get(name)(8, Classes(tuple("abc")), **({"dim": 8} if name in ("mldecoder", "ssgrl") else {}))
    said = f"the head {type(head).__name__} gives no class maps; take one that does, such as 'average', 'class_att"
    with pytest.raises(ValueError, match=said):
        Saliency(Same(), head)


@pytest.mark.parametrize("options", [{"places": 0}, {"erased": 1.5}])
def test_what_cannot_be_counted_or_erased_is_refused(options):
    with pytest.raises(ValueError, match=r"places is \d and erased [\d.]+; places has to be at least 1"):
        build(**options)


def test_a_cache_of_tokens_has_no_second_view_and_says_what_to_do():
    backbone = create("test_vit", False, image_size=64)
    head = Average(backbone.channels, Classes(tuple("ab")))
    batch = given([[[[0.0] * 64] * 64] * 3] * 2, [[P, U], [U, A]])
    method = Saliency(backbone, head)
    assert method.step(batch, Progress()).terms["consistency"].isfinite()
    cached = batch._replace(inputs=StemOutput.of(backbone.stem_outputs(batch.inputs)))
    with pytest.raises(ValueError, match=r"train without the feature cache, or with --method\.consistency 0"):
        method.step(cached, Progress())
    assert Saliency(backbone, head, consistency=0.0).step(cached, Progress()).terms["bce"].isfinite()
