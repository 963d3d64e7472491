"""What every method in the folder keeps, whoever writes it."""

import copy
import inspect
import re

import pytest
import torch
from torch import nn

from partlabel import methods
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.types import Batch, Progress
from partlabel.nn import heads
from partlabel.nn.classes import Classes

CHANNELS, CLASSES, WORD = 6, 5, 4
SMALL = {  # small sizes where a constructor has such an option; everything else stays as it is by default
    "dim": 8,
    "attention_dim": 7,
    "output_dim": 9,
    "pair_dim": 4,
    "pair_hidden_dim": 6,
    "memory_size": 3,
}
LATE = Progress(
    epoch=30, step=200, batch=2, batches=7, epochs=40
)  # past every start; not what comes of epochs before
EARLY = Progress(epochs=40, batches=7)

every_method = pytest.mark.parametrize("name", methods.names())


class FeatureMaps(nn.Module):
    """A backbone of one convolution."""

    channels = CHANNELS

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, CHANNELS, 3, 2)

    def forward(self, images):
        return self.conv(images)


def small(constructor):
    return {k: v for k, v in SMALL.items() if k in inspect.signature(constructor).parameters}


def build(name, order=None):
    torch.manual_seed(0)
    order = torch.arange(CLASSES) if order is None else order
    vectors, graph = torch.randn(CLASSES, WORD)[order], torch.rand(CLASSES, CLASSES)[order][:, order]
    kind = methods.get(name)
    head_kind = heads.get(kind.default_head)
    classes = Classes(tuple(f"class {int(i)}" for i in order), vectors, graph)
    head = head_kind(CHANNELS, classes, **small(head_kind))
    return kind(FeatureMaps(), head, **small(kind))


def batch(n=4, fill=None):
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(-1, 2, (n, CLASSES), generator=generator).to(torch.int8)
    if fill is not None:
        labels = torch.full_like(labels, fill)
    return Batch(torch.randn(n, 3, 9, 9, generator=generator), labels, torch.arange(n))


def no_present_of_one_class():
    given = batch()
    given.labels[:, 2] = torch.where(given.labels[:, 2] == PRESENT, ABSENT, given.labels[:, 2])
    return given


@every_method
@pytest.mark.parametrize("progress", [EARLY, LATE], ids=["early", "late"])
@pytest.mark.parametrize(
    "given",
    [
        batch(),
        batch(1),
        batch(fill=UNKNOWN),
        batch(fill=PRESENT),
        batch(fill=ABSENT),
        no_present_of_one_class(),
    ],
    ids=["mixed", "one image", "nothing known", "all present", "all absent", "one class never present"],
)
def test_terms_and_gradients_are_finite_scalars(name, progress, given):
    method = build(name)
    terms = method.step(given, progress).terms
    assert terms
    for term, value in terms.items():
        assert value.shape == () and value.isfinite(), term
    sum(terms.values()).backward()
    for parameter, value in method.named_parameters():
        assert value.grad is None or value.grad.isfinite().all(), parameter


@every_method
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_terms_and_gradients_are_finite_in_mixed_precision_too(name, dtype):
    method = build(name)
    for progress in (EARLY, LATE):
        with torch.autocast("cpu", dtype):
            terms = method.step(batch(), progress).terms
        sum(terms.values()).backward()
        assert all(term.isfinite() for term in terms.values()), terms
    assert all(p.grad.isfinite().all() for p in method.parameters() if p.grad is not None)


@every_method
def test_unknown_cells_move_no_supervised_term(name):
    """With nothing known, the loss on known labels is zero and pushes nothing."""
    method = build(name)
    supervised = method.step(batch(fill=UNKNOWN), EARLY).terms["bce"]
    supervised.backward()
    assert supervised == 0
    assert all(p.grad is None or (p.grad == 0).all() for p in method.parameters())


@every_method
def test_pseudo_labels_speak_of_unknown_labels_only(name):
    method, given = build(name), batch()
    for pseudo in method.step(given, LATE).pseudo_labels.values():
        assert (pseudo.weight[given.labels != UNKNOWN] == 0).all()


@every_method
def test_a_reloaded_method_gives_the_same_next_loss(name):
    method = build(name)
    optimiser = torch.optim.SGD(method.parameters(), 0.01)
    for _ in range(3):
        optimiser.zero_grad()
        sum(method.step(batch(), LATE).terms.values()).backward()
        optimiser.step()
    again = build(name)
    again.load_state_dict(copy.deepcopy(method.state_dict()))
    ours, theirs = method.step(batch(), LATE).terms, again.step(batch(), LATE).terms
    assert {k: v.item() for k, v in ours.items()} == {k: v.item() for k, v in theirs.items()}


@every_method
def test_prediction_needs_no_more_than_the_method_says(name):
    """Whatever else is in the state may be anything."""
    method = build(name)
    method.step(batch(), LATE)
    other = build(name)
    needed = {
        key: value
        for key, value in method.state_dict().items()
        if any(key == part or key.startswith(f"{part}.") for part in method.predicts_with())
    }
    scrambled = {
        key: torch.randn_like(value) if value.is_floating_point() else value
        for key, value in other.state_dict().items()
        if key not in needed
    }
    other.load_state_dict(scrambled | needed)
    assert torch.equal(other.eval()(batch().images), method.eval()(batch().images))


@every_method
def test_permuted_classes_permute_the_logits_and_keep_the_terms(name):
    """Renumbering the classes, in the weights too, renumbers the outputs and changes no loss."""
    order = torch.tensor([3, 0, 4, 1, 2])
    method, permuted = build(name), build(name, order)
    permuted.load_state_dict(permute_state(method.state_dict(), order))
    given = batch()
    renumbered = given._replace(labels=given.labels[:, order])
    torch.testing.assert_close(
        permuted.eval()(given.images), method.eval()(given.images)[:, order], rtol=1e-4, atol=1e-5
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


@every_method
def test_forward_gives_one_logit_per_class_for_a_single_image_too(name):
    method = build(name).eval()
    images = batch(3).images
    together = method(images)
    assert together.shape == (3, CLASSES)
    torch.testing.assert_close(method(images[:1]), together[:1])


@every_method
def test_the_docstring_names_its_paper_and_every_option(name):
    kind = methods.get(name)
    assert re.search(r"arXiv:\d{4}\.\d{4,5}|doi:10\.\d+/\S+", kind.__doc__), "no arXiv id or DOI"
    assert re.search(r"\b(19|20)\d\d\b", kind.__doc__), "no year"
    for option in inspect.signature(kind).parameters:
        assert re.search(rf"^\s+{option}:", kind.__doc__, re.MULTILINE), option


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


def test_no_method_moves_itself_to_a_device():
    for name in methods.names():
        source = inspect.getsource(inspect.getmodule(methods.get(name)))
        assert ".cuda(" not in source and ".repeat(" not in source
