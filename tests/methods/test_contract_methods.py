"""What every method in the folder keeps: the public checks of `partlabel.testing`, and the order of the classes."""

import pytest
import torch

from partlabel import methods
from partlabel.core.labels import UNKNOWN
from partlabel.core.targets import Targets
from partlabel.core.types import Progress
from partlabel.testing import METHOD_CHECKS, checks_of, parametrize_with_checks
from partlabel.testing.methods import CLASSES, LATE, build_method, example_batch

METHODS = [methods.get(name) for name in methods.names()]
every_method = pytest.mark.parametrize("kind", METHODS, ids=methods.names())


@parametrize_with_checks(METHODS)
def test_the_contract_of_methods_holds(kind, check):
    check(kind)


def test_the_checks_find_a_method_that_breaks_the_contract():
    """A check that cannot fail proves nothing: each of these methods is refused by the check that it is made for."""

    class Breaks(methods.get("bce")):
        broken = ""

        def step(self, batch, progress):
            step = super().step(batch, progress)
            (term,) = step.terms.values()
            if self.broken == "nan":
                return step._replace(terms={"bce": term * float("nan")})
            if self.broken == "constant":
                return step._replace(terms={"bce": term * 0})
            if self.broken == "unknown":
                return step._replace(terms={"bce": term + (self(batch.inputs) - 1).square().sum()})
            if self.broken == "known":
                everywhere = torch.ones_like(batch.labels, dtype=torch.float32)
                return step._replace(pseudo_labels={"all": Targets(everywhere, everywhere)})
            self.calls = getattr(self, "calls", 0) + 1
            return step._replace(terms={"bce": term * self.calls})

    by_name = {check.__name__: check for check in METHOD_CHECKS}
    for broken, name in {
        "nan": "check_terms_and_gradients_are_finite_scalars",
        "constant": "check_known_labels_move_parameters",
        "unknown": "check_unknown_labels_move_no_supervised_term",
        "known": "check_pseudo_labels_are_of_unknown_labels",
        "memory": "check_a_reloaded_method_continues",
    }.items():
        Breaks.broken = broken
        with pytest.raises(AssertionError):
            by_name[name](Breaks)
    with pytest.raises(AssertionError, match="no arXiv id or DOI"):
        by_name["check_documentation"](Breaks)


def test_what_is_no_method_head_or_loss_has_no_checks():
    with pytest.raises(TypeError, match="is no method, head or loss: derive it from Method, Head or Loss"):
        checks_of(int)


def test_some_methods_make_pseudo_labels():
    """Otherwise the check that they are of unknown labels alone would hold for want of any."""
    batch = example_batch()
    firing = {
        kind.__name__
        for kind in METHODS
        for pseudo in build_method(kind).step(batch, LATE).pseudo_labels.values()
        if (pseudo.weight[batch.labels == UNKNOWN] > 0).any()
    }
    assert len(firing) >= 3, firing


@every_method
def test_permuted_classes_permute_the_logits_and_keep_the_terms(kind):
    """Renumbering the classes, in the weights too, renumbers the outputs and changes no loss."""
    order = torch.tensor([3, 0, 4, 1, 2])
    method, permuted = build_method(kind), build_method(kind, order)
    permuted.load_state_dict(permute_state(method.state_dict(), order))
    given = example_batch()
    renumbered = given._replace(labels=given.labels[:, order])
    torch.testing.assert_close(
        permuted.eval()(given.inputs), method.eval()(given.inputs)[:, order], rtol=1e-4, atol=1e-5
    )
    ours, theirs = permuted.train().step(renumbered, LATE).terms, method.train().step(given, LATE).terms
    for term in theirs.keys() - {
        "contrast"
    }:  # which draws pairs of images at random, in the order of the classes
        torch.testing.assert_close(ours[term], theirs[term], rtol=1e-4, atol=1e-5)


def permute_state(state, order):
    """Every tensor with a class axis renumbered, the pair classifiers' rows through the pairs they stand for."""
    first, second = torch.triu_indices(CLASSES, CLASSES, 1)
    row = torch.zeros(CLASSES, CLASSES, dtype=torch.long)
    row[first, second] = row[second, first] = torch.arange(len(first))
    pair_order = row[order[first], order[second]]
    permuted = {}
    for name, value in state.items():
        if name.startswith("pairs.classifier"):
            value = value[pair_order]
        elif value.dim() >= 1 and value.shape[0] == CLASSES:
            value = value[order]
            if value.dim() == 2 and value.shape[1] == CLASSES:
                value = value[:, order]
        permuted[name] = value
    if any(name.startswith("pairs.") for name in state):
        # a pair's two classes may have changed sides, and the pair head is not symmetric in them: make it so here
        halves = state["pairs.fc2.weight"].chunk(2, 1)
        mean = (halves[0] + halves[1]) / 2
        for each in (state, permuted):
            each["pairs.fc2.weight"].copy_(torch.cat([mean, mean], 1))
    return permuted


def test_chance_differs_from_step_to_step_and_from_seed_to_seed_of_any_size():
    times = [
        Progress(seed=seed, step=step)
        for seed in (0, 1, 127, 2**23, 2**24, 2**24 + 1, 20261123, 2**31 - 1)
        for step in (0, 1, 10**9)
    ]
    seeds = [time.generator().initial_seed() for time in times]
    assert len(set(seeds)) == len(seeds)
    assert Progress(seed=3, step=5).generator().initial_seed() == 3 * 2**40 + 5, "as earlier runs drew"


def test_a_method_that_does_not_exist_names_the_nearest():
    with pytest.raises(ValueError, match=r"no method 'ssst' \(did you mean 'sst'\?\); there are: .*sst"):
        methods.get("ssst")
