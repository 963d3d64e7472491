"""Folds, and what is kept from whom."""

import numpy as np
import pytest
import torch

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.targets import Targets
from partlabel.methods import get
from partlabel.nn.classes import Classes
from partlabel.nn.cross_fitting import aligned_folds, fold_weights, out_of_fold
from partlabel.nn.linear_path import Design, solve
from partlabel.selection.candidates import Rule, TrainingSet, build
from partlabel.selection.cross_validation import folds, predict


def some_labels(images=60, classes=4, seed=0):
    random = np.random.default_rng(seed)
    return torch.from_numpy(random.choice([UNKNOWN, ABSENT, PRESENT], (images, classes)).astype(np.int8))


def test_folds_share_out_the_known_labels_of_each_kind():
    labels = some_labels(200, 5)
    fold = folds(labels, 5)
    assert sorted(fold.bincount().tolist())[0] >= 30
    for kind in (PRESENT, ABSENT):
        counts = torch.stack([(labels[fold == number] == kind).sum(0) for number in range(5)])
        even = (labels == kind).sum(0) / 5
        assert ((counts - even).abs() <= 0.25 * even + 2).all()


def test_a_rare_class_is_in_as_many_folds_as_it_has_images():
    labels = torch.zeros(50, 2, dtype=torch.int8)
    labels[torch.tensor([3, 17, 40]), 1] = PRESENT
    assert len({int(folds(labels, 5)[row]) for row in (3, 17, 40)}) == 3


def test_groups_never_straddle_folds():
    groups = [f"scene {row // 3}" for row in range(60)]
    fold = folds(some_labels(), 4, groups=groups)
    for name in set(groups):
        assert len({int(fold[row]) for row in range(60) if groups[row] == name}) == 1
    assert set(fold.tolist()) == {0, 1, 2, 3}


def test_folds_depend_on_the_seed_alone():
    labels = some_labels()
    assert torch.equal(folds(labels, 3, seed=1), folds(labels, 3, seed=1))
    assert not torch.equal(folds(labels, 3, seed=1), folds(labels, 3, seed=2))


@pytest.mark.parametrize(("groups", "what"), [(None, "2 images are too few"), ("ab", "2 groups")])
def test_fewer_images_or_groups_than_folds_are_refused(groups, what):
    labels = some_labels(2 if groups is None else 8)
    names = None if groups is None else [groups[row % 2] for row in range(8)]
    with pytest.raises(ValueError, match=f"{what}.*--weight-decay"):
        folds(labels, 3, groups=names)


def data(images=60, classes=3, seed=0):
    random = torch.Generator().manual_seed(seed)
    maps = torch.rand(images, 12, generator=random)
    labels = some_labels(images, classes, seed)
    names = tuple(f"class {number}" for number in range(classes))
    return TrainingSet(maps, 8, labels, Classes(names), folds(labels, 3))


def scores(given, labels):
    """Out-of-fold logits of the linear model."""
    design = given.design("rooted_average", {})
    columns, counted = fold_weights(Targets.known(labels), given.fold, 3)
    return out_of_fold(design, solve(design, columns, 0.1 * counted, tolerance=1e-9), given.fold, 3)


def test_the_labels_of_an_image_do_not_move_its_own_scores():
    given = data()
    before = scores(given, given.labels)
    changed = given.labels.clone()
    changed[7] = torch.where(changed[7] == UNKNOWN, changed[7], 1 - changed[7])
    after = scores(given, changed)
    assert not torch.equal(changed, given.labels)
    own = given.fold == given.fold[7]
    assert (after - before)[own].std(0).max() < 1e-3, "the level of all folds may move, and nothing else"
    assert (after - before)[~own].abs().max() > 1e-2, "others learn from it"


def test_out_of_fold_scores_are_those_of_a_fit_without_the_fold():
    given = data()
    found = scores(given, given.labels)
    inside = given.fold == 1
    design = given.design("rooted_average", {})
    known = Targets.known(given.labels)
    alone = solve(
        design,
        Targets(known.value, known.weight * ~inside[:, None]),
        0.1 * float(known.weight.sum()),
        tolerance=1e-9,
    )
    difference = found[inside] - design.logits(alone)[inside]
    assert difference.std(0).max() < 2e-3, "equal but for the level"


def test_models_of_folds_are_put_on_one_level():
    logits, fold = torch.tensor([[1.0], [2.0], [5.0]]), torch.tensor([0, 0, 1])
    found = aligned_folds(logits, torch.tensor([[0.0], [4.0]]), fold)
    assert found.flatten().tolist() == [3.0, 4.0, 3.0]  # both means are now 2


@pytest.mark.parametrize("method", ["bce", "weak_negatives", "assume_negative", "label_smoothing"])
def test_a_full_batch_fit_is_where_the_loss_of_the_steps_has_no_gradient(method):
    """The gradient of `step` on all images, and weight decay as Adam adds it, is zero at the solution."""
    from partlabel.core.types import Batch, Progress

    given = data()
    fitted = build(given, Rule(method), "rooted_average", {})
    problem = given.problem("rooted_average", given.design("rooted_average", {}), 0.05, 1e-10)
    fitted.fit_full_batch(problem)
    fitted.eval()  # standardised by the whole set, as the solver does
    step = fitted.step(Batch(problem.maps, given.labels, torch.arange(len(given.labels))), Progress())
    sum(step.terms.values()).backward()
    linear = fitted.head.linear
    assert (linear.weight.grad + 0.05 * linear.weight).abs().max() < 1e-4
    assert linear.bias.grad.abs().max() < 1e-4
    assert linear.weight.abs().max() > 1e-3


@pytest.mark.parametrize("method", ["soft_sst", "curriculum", "cap"])
def test_methods_that_learn_from_predictions_fit_full_batch_and_predict(method):
    given = data()
    assert get(method).has_full_batch_fit() and not get(method).has_fixed_targets()
    fitted = build(given, Rule(method), "rooted_average", {})
    problem = given.problem("rooted_average", given.design("rooted_average", {}), 0.05)
    fitted.fit_full_batch(problem)
    found = predict(fitted, problem.maps)
    assert found.shape == given.labels.shape and found.isfinite().all() and found.std() > 0


def test_a_method_without_a_full_batch_fit_says_so():
    given = data()
    assert not get("hill").has_full_batch_fit()
    problem = given.problem("rooted_average", Design.of(given.maps[:, :8]), 0.05)
    with pytest.raises(NotImplementedError, match="Hill has no full-batch fit"):
        build(given, Rule("hill"), "rooted_average", {}).fit_full_batch(problem)
