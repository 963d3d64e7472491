"""SARB against loops over images and classes; and what the authors' code does otherwise."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.targets import Targets
from partlabel.core.types import Progress
from partlabel.methods.sarb import SARB
from partlabel.nn.classes import Classes
from partlabel.nn.heads.average import Average
from partlabel.transfer import feature_blending
from trunk import CHANNELS, CLASSES, Same, batch, residual, ssgrl

LATE = Progress(epoch=5, step=40, batch=0, batches=8, epochs=20)
heads = pytest.mark.parametrize("head", [residual, ssgrl])


def method(head, **options):
    return SARB(Same(), head(), memory_size=4, prototypes=2, **options).eval()


def bce(cells):
    """Mean over (logit, target) pairs."""
    return torch.stack([binary_cross_entropy_with_logits(x, torch.as_tensor(t)) for x, t in cells]).mean()


@heads
def test_the_instance_term_is_that_of_a_loop(head):
    model, given = method(head), batch()
    model.alpha.data.fill_(1.0)
    kept = float(torch.tensor(1.0).sigmoid())
    features = model.outputs(given.inputs).features
    blended, target = features.clone(), given.labels.float()
    for b in range(6):
        for c in range(CLASSES):
            if given.labels[b, c] == UNKNOWN and given.labels[5 - b, c] == PRESENT:
                blended[b, c] = kept * features[b, c] + (1 - kept) * features[5 - b, c]
                target[b, c] = 1 - kept
    logits = model.head.classify(blended)
    cells = [
        (logits[b, c], float(target[b, c]))
        for b in range(6)
        for c in range(CLASSES)
        if target[b, c] != UNKNOWN
    ]
    assert len(cells) > (given.labels != UNKNOWN).sum(), "nothing was blended"
    torch.testing.assert_close(model.step(given, LATE).terms["bce_instance"], bce(cells))


@heads
def test_the_prototype_term_blends_one_unknown_label_of_each_image(head):
    model, given = method(head), batch()
    out, known = model.outputs(given.inputs), Targets.known(given.labels)
    model.memory.add(out.features, given.labels)
    prototypes = model.stand_ins(out, given.labels, LATE, LATE.generator())
    _, targets = model.blended(out.features, *prototypes, model.beta, known)
    filled_in = (targets.weight > 0) & (given.labels == UNKNOWN)
    able = ((given.labels == UNKNOWN) & (model.prototypes.filled > 0)).any(1)
    assert able.any() and torch.equal(filled_in.sum(1), able.long())
    assert (targets.value[filled_in] == 0.5).all()


@heads
def test_the_prototype_term_is_that_of_a_loop(head):
    model, given = method(head), batch()
    model.beta.data.fill_(-1.0)
    kept = float(torch.tensor(-1.0).sigmoid())
    out, known = model.outputs(given.inputs), Targets.known(given.labels)
    model.memory.add(out.features, given.labels)
    prototypes = model.stand_ins(out, given.labels, LATE, LATE.generator())
    logits, targets = model.blended(out.features, *prototypes, model.beta, known)
    chosen = (targets.weight > 0) & (given.labels == UNKNOWN)
    matches = 0
    for number in range(2):  # whichever centre was drawn
        blended = out.features.clone()
        for b, c in chosen.nonzero().tolist():
            centre = model.prototypes.centres[c, number % int(model.prototypes.filled[c])]
            blended[b, c] = kept * out.features[b, c] + (1 - kept) * centre
        matches += torch.allclose(model.head.classify(blended), logits, atol=1e-6)
    assert matches == 1
    torch.testing.assert_close(targets.value[chosen], torch.full((int(chosen.sum()),), 1 - kept))


@pytest.mark.parametrize("fill", [PRESENT, ABSENT])
def test_an_image_of_which_all_is_known_keeps_its_labels(fill):
    """The authors' code overwrites its first label by 1 - beta."""
    model, given = method(residual), batch(fill=fill)
    terms = model.step(given, LATE).terms
    torch.testing.assert_close(terms["bce_instance"], terms["bce"])
    torch.testing.assert_close(terms["bce_prototype"], terms["bce"])


def test_nothing_is_blended_before_its_epoch():
    terms = method(residual).step(batch(), Progress(epoch=4)).terms
    assert set(terms) == {"bce", "contrast"}


def test_how_much_is_kept_does_not_learn_from_what_it_promises():
    kept = torch.tensor(0.3, requires_grad=True)
    where = torch.tensor([[True, False]])
    targets = feature_blending.targets(where, kept)
    assert not targets.value.requires_grad
    torch.testing.assert_close(targets.value, torch.tensor([[0.7, 0.0]]))
    assert targets.weight.tolist() == [[1, 0]]


def test_how_much_is_kept_learns_by_the_blends():
    model = method(residual)
    sum(model.step(batch(), LATE).terms.values()).backward()
    assert model.alpha.grad.abs() > 0 and model.beta.grad.abs() > 0


def test_draws_are_of_the_cells_asked_for_and_all_come_up():
    where = torch.tensor([[True, False, True, True], [False] * 4, [False, True, False, False]])
    seen = torch.zeros(3, 4)
    for seed in range(60):
        drawn = feature_blending.drawn(where, 2, torch.Generator().manual_seed(seed))
        assert not (drawn & ~where).any()
        assert drawn.sum(1).tolist() == [2, 0, 1]
        seen += drawn
    assert ((seen > 0) == where).all()


def test_a_head_without_class_features_is_refused():
    with pytest.raises(
        ValueError, match=r"SARB compares features of classes, and the head Average gives none"
    ):
        SARB(Same(), Average(CHANNELS, Classes(tuple("abcde"))))
