"""HST agrees with numbers of the authors' implementation, to 1e-5; where it departs, the departure is worked out."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.core.targets import Targets
from partlabel.core.types import Progress
from partlabel.methods.hst import HST
from partlabel.transfer import pseudo_labels
from partlabel.transfer.prototypes import Prototypes, prototype_loss
from trunk import CLASSES, Same, batch, residual, ssgrl

LATE = Progress(epoch=5, step=40, batch=0, batches=8, epochs=20)


@pytest.fixture(scope="module")
def reference():
    with np.load(Path(__file__).parents[1] / "reference" / "hst_losses.npz") as numbers:
        found = {name: torch.tensor(numbers[name]) for name in numbers.files}
    target = found["in.target"]
    found["labels"] = torch.where(target == 0, UNKNOWN, (target > 0).long()).to(torch.int8)
    return found


@pytest.fixture
def prototypes(reference):
    centres = reference["in.prototypes"]
    found = Prototypes(*centres.shape)
    found.centres.copy_(centres)
    found.filled.fill_(centres.shape[1])
    return found


@pytest.mark.parametrize("threshold", [0.2, 0.5])
def test_cross_image_scores_agree(reference, prototypes, threshold):
    soft = (prototypes.similarity(reference["in.semantic_features"]) - threshold).clamp(0, 1)
    torch.testing.assert_close(soft, reference[f"out.inter_soft@{threshold}"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threshold", [0.2, 0.5])
def test_intra_image_scores_agree_where_a_label_is_not_its_own_evidence(reference, threshold):
    labels, together = reference["labels"], reference["in.pair_logits"].sigmoid()
    ours = pseudo_labels.as_if_unknown(pseudo_labels.cooccurrence_score(together, labels), labels)
    present = labels == PRESENT
    # Theirs counts a present class as evidence of itself, with probability 1: one more vote among one more.
    others = pseudo_labels.other_present(labels)
    theirs = torch.where(present, (ours * others + 1) / (others + 1), ours)
    expected = reference[f"out.intra_soft@{threshold}"]
    torch.testing.assert_close((theirs - threshold).clamp(0, 1), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threshold", [0.2, 0.5])
def test_pseudo_labels_are_where_the_authors_scores_are_above_zero(reference, prototypes, threshold):
    labels = reference["labels"]
    scores = {
        "intra": pseudo_labels.as_if_unknown(
            pseudo_labels.cooccurrence_score(reference["in.pair_logits"].sigmoid(), labels), labels
        ),
        "inter": prototypes.similarity(reference["in.semantic_features"]),
    }
    for name, score in scores.items():
        theirs = (reference[f"out.{name}_soft@{threshold}"] > 0) & (labels == UNKNOWN)
        assert torch.equal(pseudo_labels.accept(score, labels, threshold).weight > 0, theirs)


def test_the_prototype_loss_is_the_authors_with_the_sign_turned(reference, prototypes):
    """Theirs is the mean of 1 + t cos over all labels, t = 1, -1, 0; ours of 1 - t cos, and nothing where unknown."""
    labels = reference["labels"]
    ours = prototype_loss(prototypes.similarity(reference["in.semantic_features"]), labels)
    share_known = (labels != UNKNOWN).float().mean()
    torch.testing.assert_close(
        1 + share_known - ours, reference["loss.prototype_contrastive"], rtol=1e-5, atol=1e-5
    )


def test_the_prototype_loss_pulls_present_features_in_and_pushes_absent_ones_away(reference, prototypes):
    features = reference["in.semantic_features"].clone().requires_grad_()
    before = prototypes.similarity(features)
    prototype_loss(before, reference["labels"]).backward()
    moved = prototypes.similarity(features.detach() - features.grad) - before.detach()
    assert (moved[reference["labels"] == PRESENT] > 0).all()
    assert (moved[reference["labels"] == ABSENT] < 0).all()
    assert (moved[reference["labels"] == UNKNOWN] == 0).all()


def method(head=residual, **options):
    return HST(Same(), head(), memory_size=4, prototypes=2, pair_dim=4, pair_hidden_dim=6, **options).eval()


@pytest.mark.parametrize("head", [residual, ssgrl])
def test_the_intra_threshold_term_is_that_of_a_loop(head):
    model, given = method(head, intra_threshold=0.4, sharpness=7.0), batch()
    pairs = model.pairs(model.outputs(given.inputs).features).sigmoid()
    number = {pair: n for n, pair in enumerate((i, j) for i in range(CLASSES) for j in range(i + 1, CLASSES))}
    costs = []
    for b in range(6):
        for c in range(CLASSES):
            others = [j for j in range(CLASSES) if j != c and given.labels[b, j] == PRESENT]
            if given.labels[b, c] != UNKNOWN and others:
                score = sum(pairs[b, number[min(c, j), max(c, j)]] for j in others) / len(others)
                odds = 7 * (score - 0.4)
                costs.append(-logsigmoid(odds if given.labels[b, c] == PRESENT else -odds))
    expected = 0.1 * torch.stack(costs).mean()
    torch.testing.assert_close(model.step(given, LATE).terms["threshold_intra"], expected)


def test_thresholds_learn_where_known_labels_part():
    """Present labels score 0.8, absent ones 0.2: a threshold that starts above all of them comes down between."""
    model = method(cross_threshold=1.0)
    labels = torch.tensor([[PRESENT, ABSENT]] * 4, dtype=torch.int8)
    score = torch.tensor([[0.8, 0.2]] * 4)
    optimiser = torch.optim.Adam([model.moved], 0.01)
    for _ in range(150):
        optimiser.zero_grad()
        cost = model.threshold_loss(score, model.thresholds[1], Targets.known(labels), labels != UNKNOWN)
        cost.backward()
        optimiser.step()
    assert 0.4 < model.thresholds[1] < 0.6
    assert model.thresholds[0] == 1.0


def test_thresholds_move_at_their_pace_and_only_they_learn_from_their_loss():
    model, given = method(pace=100.0), batch()
    terms = model.step(given, LATE).terms
    (terms["threshold_intra"] + terms["threshold_cross"]).backward()
    learning = {name for name, p in model.named_parameters() if p.grad is not None and (p.grad != 0).any()}
    assert learning == {"moved"}
    model.moved.data.fill_(-0.001)
    assert model.thresholds[0].item() == pytest.approx(0.9)


def test_low_thresholds_make_pseudo_labels_of_unknown_labels_which_are_trained_on():
    model, given = method(intra_threshold=0.1, cross_threshold=-1.0), batch()
    terms, found = model.step(given, LATE)
    unknown = given.labels == UNKNOWN
    assert torch.equal(found["cross"].weight > 0, unknown)
    logits = model(given.inputs)
    filled = torch.where(unknown, 1.0, given.labels.float())
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, filled)
    torch.testing.assert_close(terms["bce_cross"], expected)


def test_before_its_epoch_there_is_nothing_but_the_trunk_and_the_pairs():
    assert set(method().step(batch(), Progress(epoch=4)).terms) == {"bce", "cooccurrence", "contrast"}
