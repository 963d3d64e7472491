"""The method `text_prior`: weights decay towards those of the class names."""

from dataclasses import replace

import pytest
import torch

from informed import CLASSES
from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Targets
from partlabel.evaluation.metrics import average_precision
from partlabel.nn.classes import Classes
from partlabel.nn.linear_path import Design, solve
from partlabel.selection.candidates import Rule, TrainingSet, build
from partlabel.selection.cross_validation import folds, predict
from partlabel.transfer.combination import name_scale, shares_by_name

NAMES = Classes(tuple("abcd"))


def training_set(known=0.1, images=300, seed=0):
    """Features of images, scores of the names that are linear in them, labels, and the truth."""
    random = torch.Generator().manual_seed(seed)
    maps = torch.randn(images, 12, generator=random)
    weight = torch.randn(12, CLASSES, generator=random)
    logits = maps @ weight - 1
    truth = (logits + torch.randn(logits.shape, generator=random) > 0).to(torch.int8)
    labels = torch.where(torch.rand(truth.shape, generator=random) < known, truth, UNKNOWN).to(torch.int8)
    about = weight + 0.5 * torch.randn(weight.shape, generator=random)
    fold = folds(labels, 3)
    return TrainingSet(maps, 12, labels, NAMES, fold, zero_shot=maps @ about * 0.1), truth


def fitted(data, decay=0.05, method="text_prior"):
    model = build(data, Rule(method), "average", {})
    model.fit_full_batch(data.problem("average", data.design("average", {}), decay, 1e-9))
    return model.eval()


def mean_ap(scores, truth):
    return sum(average_precision(scores[:, c].numpy(), truth[:, c].numpy()) for c in range(CLASSES)) / CLASSES


def test_few_labels_and_names_are_better_than_few_labels():
    data, truth = training_set(known=0.03)
    with_names, without = (
        mean_ap(predict(fitted(data, method=each), data.maps[..., None, None]), truth)
        for each in ("text_prior", "bce")
    )
    assert with_names > without + 0.03


def test_a_strong_decay_gives_the_names_and_a_weak_one_the_labels():
    data, _ = training_set(known=0.5)
    maps = data.maps[..., None, None]
    strong = predict(fitted(data, decay=1e4), maps)
    scale = name_scale(data.zero_shot, Targets.known(data.labels))
    torch.testing.assert_close(
        strong - strong.mean(0), scale.slope * (data.zero_shot - data.zero_shot.mean(0)), atol=0.01, rtol=0.01
    )
    weak, plain = (predict(fitted(data, 1e-5, each), maps) for each in ("text_prior", "bce"))
    torch.testing.assert_close(weak, plain, atol=0.05, rtol=0.05)


def test_a_class_without_labels_is_predicted_by_its_name():
    data, _ = training_set(known=0.5)
    data.labels[:, 2] = UNKNOWN
    logits = predict(fitted(data), data.maps[..., None, None])
    order = logits[:, 2].argsort()
    assert torch.equal(order, data.zero_shot[:, 2].argsort())
    assert logits[:, 2].mean() == pytest.approx(float(shares_by_name(data.zero_shot)[2]), abs=0.01)


def test_names_that_mislead_have_no_weight():
    data, _ = training_set(known=1.0)
    scale = name_scale(-data.zero_shot, Targets.known(data.labels))
    assert not scale.slope.any()
    model, plain = fitted(replace(data, zero_shot=-data.zero_shot, named={})), fitted(data, method="bce")
    torch.testing.assert_close(model.head.linear.weight, plain.head.linear.weight, atol=1e-3, rtol=0)


def test_the_prior_is_the_minimum_of_its_objective():
    """Against autograd: the gradient of loss and penalty on the departure from the prior is zero."""
    data, _ = training_set(known=0.4)
    design, targets = Design.of(data.maps), Targets.known(data.labels)
    prior = torch.randn(design.rotated.shape[1], CLASSES, generator=torch.Generator().manual_seed(3))
    found = solve(design, targets, 3.0, tolerance=1e-10, most=300, prior=prior).requires_grad_()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        design.logits(found), targets.value, targets.weight, reduction="sum"
    )
    (loss + 1.5 * (found - prior)[:-1].square().sum()).backward()
    assert found.grad.abs().max() < 0.01


def test_scores_that_are_linear_in_the_features_are_found_again():
    data, _ = training_set()
    design = Design.of(data.maps)
    torch.testing.assert_close(
        design.logits(design.nearest(data.zero_shot)), data.zero_shot, atol=1e-3, rtol=0
    )


def test_it_needs_a_tower():
    data, _ = training_set()
    with pytest.raises(
        ValueError, match="text_prior starts from class names, and there is no tower: give --tower"
    ):
        fitted(TrainingSet(data.maps, 12, data.labels, NAMES, data.fold))
