"""Category-wise fine-tuning: what it changes, what it leaves, and that validation decides."""

import numpy as np
import pytest
import torch
from torch import nn

from partlabel import LabelTable, Tagger
from partlabel.core.labels import ABSENT, PRESENT, UNKNOWN
from partlabel.evaluation.metrics import average_precision
from partlabel.nn.per_class_linear import PerClassLinear
from partlabel.posthoc.category_finetuning import SeenBatch, fine_tune, refit
from small import QUICK, SMALL


def images(n=120, classes=4, dim=6, seed=0, per_class=False):
    """Class c is there where number c of the feature is positive."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, dim, generator=generator)
    labels = (features[:, :classes] > 0.3).to(torch.int8)
    labels[torch.rand(n, classes, generator=generator) < 0.4] = UNKNOWN
    return SeenBatch(features[:, None].expand(-1, classes, -1) if per_class else features, labels)


def layer(per_class=False):
    torch.manual_seed(0)
    return PerClassLinear(4, 6) if per_class else nn.Linear(6, 4)


def ap(layer, seen, c):
    return average_precision(layer(seen.features).detach().numpy()[:, c], seen.labels.numpy()[:, c])


@pytest.mark.parametrize("per_class", [False, True])
def test_classes_become_better_on_images_neither_learned_nor_chosen_by(per_class):
    fitted, test = layer(per_class), images(seed=9, per_class=per_class)
    before = [ap(fitted, test, c) for c in range(4)]
    result = refit(
        fitted, images(per_class=per_class), images(seed=1, per_class=per_class), epochs=300, lr=0.01
    )
    assert (result.after >= result.before).all() and result.changed.all()
    assert all(ap(fitted, test, c) > was for c, was in enumerate(before))
    for c in range(4):
        assert ap(fitted, images(seed=1, per_class=per_class), c) == pytest.approx(result.after[c])


def test_the_weights_kept_are_of_a_step_of_adam_on_the_asymmetric_loss():
    fitted, learn, judge, lr = layer(), images(), images(seed=1), 0.05
    weight = nn.Parameter(fitted.weight.detach().clone())
    bias = nn.Parameter(fitted.bias.detach().clone())
    optimiser, states = (
        torch.optim.Adam([weight, bias], lr),
        [(weight.detach().clone(), bias.detach().clone())],
    )
    for _ in range(20):
        optimiser.zero_grad()
        p = (learn.features @ weight.T + bias).sigmoid()
        q = (p - 0.05).clamp(min=0)
        cost = torch.where(learn.labels == PRESENT, -p.log(), -(q**4) * (1 - q).log())
        (cost * (learn.labels != UNKNOWN)).sum().backward()
        optimiser.step()
        states.append((weight.detach().clone(), bias.detach().clone()))
    refit(fitted, learn, judge, epochs=20, lr=lr, every=1)
    for c in range(4):
        scores = [
            average_precision((judge.features @ w[c] + b[c]).numpy(), judge.labels[:, c].numpy())
            for w, b in states
        ]
        chosen = int(np.argmax(scores))
        torch.testing.assert_close(fitted.weight[c].detach(), states[chosen][0][c], rtol=1e-3, atol=1e-4)


def test_a_class_that_gets_no_better_keeps_its_weights():
    fitted, judge = layer(), images(seed=1)
    with torch.no_grad():
        fitted.weight[1] = 0
        fitted.weight[1, 1] = 1.0  # it ranks perfectly
    before = fitted.weight.detach().clone()
    result = refit(fitted, images(), judge, epochs=50, lr=0.01)
    assert result.before[1] == pytest.approx(1) and not result.changed[1]
    assert torch.equal(fitted.weight[1], before[1]) and not torch.equal(fitted.weight[0], before[0])


@pytest.mark.parametrize("lacking", [PRESENT, ABSENT])
def test_a_class_without_known_present_and_absent_labels_is_left_alone(lacking):
    fitted, learn = layer(), images()
    learn.labels[learn.labels[:, 2] == lacking, 2] = UNKNOWN
    before = fitted.weight.detach().clone()
    result = refit(fitted, learn, images(seed=1), epochs=50, lr=0.01)
    assert not result.changed[2] and torch.equal(fitted.weight[2], before[2])


def test_a_class_with_too_few_known_present_labels_to_judge_by_is_left_alone():
    fitted, judge = layer(), images(seed=1)
    rows = (judge.labels[:, 3] == PRESENT).nonzero()[4:]
    judge.labels[rows, 3] = UNKNOWN
    assert not refit(fitted, images(), judge, epochs=50, lr=0.01).changed[3]
    assert refit(fitted, images(), judge, epochs=50, lr=0.01, fewest=4).changed[3]


def test_it_ends_when_nothing_got_better_for_a_while():
    fitted = layer()
    with torch.no_grad():
        fitted.weight.copy_(torch.eye(4, 6))  # all rank perfectly
    calls = []
    fitted.forward = lambda x: calls.append(1) or nn.Linear.forward(fitted, x)
    refit(fitted, images(), images(seed=1), epochs=5000, patience=30)
    assert len(calls) <= 40


def test_a_tagger_is_fine_tuned_saved_and_loaded(collection, tmp_path):
    table = LabelTable.read(collection / "labels.csv", collection / "photos")
    tagger = Tagger(table.classes, "bce", **SMALL).fit(table, out=tmp_path / "run", **QUICK)
    train, val = table.part("train"), table.part("test")
    before = tagger.evaluate(val).ap
    result = fine_tune(tagger, train, val, epochs=60, lr=0.02, fewest=2)
    assert result.changed.any()
    np.testing.assert_allclose(result.before, before, atol=1e-6)
    np.testing.assert_allclose(result.after, tagger.evaluate(val).ap, atol=1e-6)
    loaded = Tagger.load(tagger.save(tmp_path / "tuned"))
    assert np.array_equal(loaded.scores(val), tagger.scores(val))


def test_taggers_that_cannot_be_fine_tuned_say_why(collection, tmp_path):
    table = LabelTable.read(collection / "labels.csv", collection / "photos")
    with pytest.raises(ValueError, match="is not fitted"):
        fine_tune(Tagger(table.classes, "bce"), table, table)
    small = {"backbone": "test_resnet", "pretrained": False, "image_size": 32}
    residual = Tagger(table.classes, "bce", head="residual", **small).fit(
        table, out=tmp_path / "run", epochs=1, val=0.25, accelerator="cpu", weight_decay=0.02
    )
    with pytest.raises(ValueError, match="logits of the head Residual are not the output of a linear layer"):
        fine_tune(residual, table, table)
    saliency = Tagger(table.classes, "saliency", **small).fit(
        table, out=tmp_path / "saliency", epochs=1, val=0.25, accelerator="cpu", weight_decay=0.02
    )
    with pytest.raises(ValueError, match="Saliency does not predict by its head alone"):
        fine_tune(saliency, table, table)
