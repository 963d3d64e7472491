"""Methods that learn prompts through the text encoder of a tower."""

import math

import pytest
import torch

from partlabel.core.labels import PRESENT, UNKNOWN
from partlabel.methods.dualcoop import DualCoOp
from partlabel.methods.dualcoop_pp import DualCoOpPP
from partlabel.methods.positive_coop import PositiveCoOp
from partlabel.nn import heads
from partlabel.nn.classes import Classes
from partlabel.testing.methods import (
    CHANNELS,
    CLASSES,
    EARLY,
    ConvolutionBackbone,
    build_method,
    example_batch,
)

KINDS = [DualCoOp, DualCoOpPP, PositiveCoOp]
every_kind = pytest.mark.parametrize("kind", KINDS)


def trained(kind, steps=3):
    method = build_method(kind)
    optimizer = torch.optim.SGD([each for each in method.parameters() if each.requires_grad], 0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        method.step(example_batch(), EARLY).terms["bce"].backward()
        optimizer.step()
    return method


@every_kind
def test_the_loss_is_the_sum_over_known_labels_of_a_loop(kind):
    method, batch, total = build_method(kind), example_batch(), 0.0
    logits = method.head.compare(method.backbone(batch.inputs), method.vectors()).logits
    for logit, label in zip(logits.flatten().tolist(), batch.labels.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-logit))
        q = max(p - 0.05, 0)
        if label != UNKNOWN:
            total -= (1 - p) * math.log(max(p, 1e-8)) if label == PRESENT else q**2 * math.log(1 - q)
    assert method.step(batch, EARLY).terms["bce"].item() == pytest.approx(0.03 * total, rel=1e-3)


@every_kind
def test_classes_are_encoded_once_in_a_step_and_for_prediction_once(kind, monkeypatch):
    method, calls = build_method(kind), []
    network = method.space.text
    handle = network.module.register_forward_hook(lambda *_: calls.append(1))
    method.step(example_batch(), EARLY)
    assert len(calls) == 1
    method.eval()
    for _ in range(3):
        method(example_batch().inputs)
    method.state_dict()
    assert len(calls) == 2
    handle.remove()


@every_kind
def test_prediction_follows_the_prompts_and_needs_no_tower(kind):
    method, inputs = trained(kind), example_batch().inputs
    expected = method.head.compare(method.backbone(inputs), method.vectors()).logits
    state = method.state_dict()
    torch.testing.assert_close(method.eval()(inputs), expected)
    names = tuple(f"class {n}" for n in range(CLASSES))
    head = heads.get(kind.default_head)(CHANNELS, Classes(names))
    loaded = kind(ConvolutionBackbone(), head)
    loaded.load_state_dict(state)
    torch.testing.assert_close(loaded.eval()(inputs), expected)
    with pytest.raises(ValueError, match="text encoder of a tower, and there is none"):
        loaded.train().step(example_batch(), EARLY)


def test_only_what_the_paper_learns_is_learned():
    learned = {
        kind: {
            name
            for name, each in build_method(kind).named_parameters()
            if each.requires_grad and not name.startswith("backbone")
        }
        for kind in KINDS
    }
    assert learned[DualCoOp] == {"prompts.context"}
    assert learned[DualCoOpPP] == {"prompts.context", "head.log_sharpness", "head.log_gain"}
    assert learned[PositiveCoOp] == {"prompts.context", "absent.vectors", "residual.vectors"}


def test_absence_of_positive_coop_has_no_text():
    method = build_method(PositiveCoOp)
    method.absent.vectors.data.normal_()
    method.residual.vectors.data.normal_()
    found = method.vectors()
    torch.testing.assert_close(found[:, 0], method.prompts()[:, 0] + method.residual.vectors)
    torch.testing.assert_close(found[:, 1], method.absent.vectors)


@every_kind
def test_it_learns_what_is_labelled(kind):
    before, after = (trained(kind, steps).step(example_batch(), EARLY).terms["bce"] for steps in (0, 10))
    assert after < before


def test_another_head_is_refused():
    classes = Classes(tuple("abcde"))
    for kind, head in ((DualCoOp, "average"), (DualCoOp, "joint_evidence"), (DualCoOpPP, "joint_region")):
        with pytest.raises(ValueError, match=f"vectors per class .* give --head {kind.default_head}"):
            kind(ConvolutionBackbone(), heads.get(head)(CHANNELS, classes))
