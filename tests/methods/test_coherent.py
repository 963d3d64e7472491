"""The coherent loss, compared with the formula of the paper in a naive loop."""

from math import exp, log

import pytest
import torch
from torch import nn

from given import A, Given, P, U
from partlabel.core.column_rules import ColumnRules
from partlabel.core.rules import ClassRule, Rules
from partlabel.core.types import Batch, Progress
from partlabel.methods.bce import BCE
from partlabel.methods.coherent import Coherent

NAMES = ("puppy", "dog", "cat", "animal", "day", "night")
RULES = Rules(
    (
        ClassRule("implies", ("puppy", "dog")),
        ClassRule("implies", ("dog", "animal")),
        ClassRule("implies", ("cat", "animal")),
        ClassRule("one_of", ("day", "night")),
    )
)
BELOW = {"puppy": [0], "dog": [0, 1], "cat": [2], "animal": [0, 1, 2, 3]}


def coherent(rules=RULES, kind=Coherent):
    head = Given(len(NAMES))
    head.rules = None if rules is None else ColumnRules(rules, NAMES)
    return kind(nn.Identity(), head)


def step(method, logits, labels):
    images = torch.tensor([logits], requires_grad=True)
    batch = Batch(images, torch.tensor([labels], dtype=torch.int8), torch.arange(1))
    (term,) = method.step(batch, Progress()).terms.values()
    term.backward()
    return float(term.detach()), images.grad[0]


def naive(logits, labels):
    """The sum of the paper, in probabilities."""
    h = [1 / (1 + exp(-value)) for value in logits[:4]]
    total = [exp(value) for value in logits[4:]]
    costs = []
    for at, name in enumerate(NAMES[:4]):
        if labels[at] == P:
            costs.append(-log(max(h[below] for below in BELOW[name] if labels[below] == P)))
        elif labels[at] == A:
            costs.append(-log(1 - max(h[below] for below in BELOW[name])))
    for at in (0, 1):
        share = total[at] / sum(total)
        if labels[4 + at] != U:
            costs.append(-log(share if labels[4 + at] == P else 1 - share))
    return sum(costs) / len(costs)


@pytest.mark.parametrize(
    "labels",
    [[U, U, P, P, P, A], [U, U, U, P, U, U], [A, A, A, A, U, P], [P, P, A, P, A, U], [A, P, U, P, U, U]],
)
def test_it_is_the_formula(labels):
    logits = [1.5, -0.5, 0.3, -1.0, 0.7, -0.2]
    assert step(coherent(), logits, labels)[0] == pytest.approx(naive(logits, labels), rel=1e-5)


def test_a_present_parent_does_not_raise_a_child_that_is_absent_or_unknown():
    _, gradient = step(coherent(), [3.0, 1.0, -2.0, -3.0, 0.0, 0.0], [A, A, P, P, U, U])
    assert gradient[2] < 0 < gradient[0], (
        "the cat is raised, and the puppy, the most probable dog, is lowered"
    )
    _, gradient = step(coherent(), [3.0, 1.0, -2.0, -3.0, 0.0, 0.0], [U, U, U, P, U, U])
    assert gradient[3] < 0 and (gradient[:3] == 0).all()


def test_predictions_obey():
    found = coherent()(torch.tensor([[1.5, -0.5, 0.3, -1.0, 0.7, -0.2]])).sigmoid()[0]
    assert found[3] == found[1] == found[0] and float(found[4:].sum()) == pytest.approx(1)


def test_without_rules_it_is_bce():
    logits, labels = [1.5, -0.5, 0.3, -1.0, 0.7, -0.2], [P, A, U, P, A, U]
    ours, theirs = (step(coherent(None, kind), logits, labels) for kind in (Coherent, BCE))
    assert ours[0] == theirs[0] and torch.equal(ours[1], theirs[1])
