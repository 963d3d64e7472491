"""The frozen part by OpenVINO gives the numbers of PyTorch, and is used only where it does."""

import copy
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from partlabel.nn import backbone as backbones
from partlabel.nn import frozen_runtime
from partlabel.nn.frozen_runtime import CLOSE, MANY, FrozenRuntime

pytest.importorskip("openvino", reason="openvino is not installed: pip install 'partlabel[fast]'")

FAMILIES = {
    "tf_efficientnet_lite0": 64,
    "resnet18": 64,
    "convnext_atto": 64,
    "vit_tiny_patch16_224": 64,
    "vit_small_patch14_dinov2.lvd142m": 56,
    "swin_tiny_patch4_window7_224": 64,
}
"""A model of every family of backbones, and the side of its images."""


def images_of(size, number=3, seed=1):
    return torch.randn(number, 3, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def backbone():
    made = backbones.create("test_resnet", pretrained=False, trainable="none", image_size=64)
    made.prepare(64, MANY)
    assert made.runtime is not None
    return made


@pytest.mark.parametrize(("name", "size"), FAMILIES.items())
def test_a_frozen_backbone_of_every_family_gives_the_numbers_of_pytorch(name, size):
    made = backbones.create(name, pretrained=False, trainable="none", image_size=size).eval()
    images = images_of(size, 11)
    expected = made(images)
    made.prepare(size, MANY)
    assert made.runtime is not None
    assert made.runtime.is_for(made.stem, images)
    off = (made(images) - expected).abs().max() / expected.abs().max()
    assert off < CLOSE


def test_a_stem_before_a_trained_last_stage_gives_the_numbers_of_pytorch():
    made = backbones.create("test_resnet", pretrained=False, trainable="last", image_size=64).eval()
    images = images_of(64)
    expected = made(images)
    made.prepare(64, MANY)
    assert made.runtime is not None
    torch.testing.assert_close(made(images), expected, atol=1e-4, rtol=1e-4)
    made(images).sum().backward()
    assert all(parameter.grad is not None for parameter in made.last.parameters())


def test_the_pooling_after_the_stem_may_be_fitted_after_the_graph_is_made():
    made = backbones.create(
        "test_resnet", pretrained=False, trainable="none", image_size=64, covariance_rank=4
    )
    made.prepare(64, MANY)
    assert made.runtime is not None
    assert not any(module.training for module in made.stem.modules())
    backbones.fit_pooling(made, [images_of(64, 8)])
    images = images_of(64, 9, seed=2)
    fast = made(images)
    made.runtime = None
    torch.testing.assert_close(fast, made(images), atol=1e-4, rtol=1e-4)


def test_other_weights_are_computed_by_pytorch(backbone):
    images = images_of(64)
    with torch.no_grad():
        next(backbone.stem.parameters()).mul_(2)
    assert not backbone.runtime.is_for(backbone.stem, images)
    alone = copy.deepcopy(backbone)
    assert alone.runtime is None
    torch.testing.assert_close(backbone(images), alone(images))


def test_loaded_weights_are_computed_by_pytorch(backbone):
    other = backbones.create("test_resnet", pretrained=False, trainable="none", image_size=64)
    backbone.load_state_dict(other.state_dict())
    torch.testing.assert_close(backbone(images_of(64)), other(images_of(64)))


def test_images_of_another_size_are_computed_by_pytorch(backbone):
    assert not backbone.runtime.is_for(backbone.stem, images_of(96))
    assert backbone(images_of(96)).shape[2:] == (3, 3)


def test_another_size_gets_a_graph_of_its_own(backbone):
    backbone.prepare(96, MANY)
    assert backbone.runtime.shape == (3, 96, 96)


def test_a_graph_is_neither_copied_nor_pickled(backbone):
    assert copy.deepcopy(backbone).runtime is None
    assert pickle.loads(pickle.dumps(backbone.runtime)) is None


def test_few_images_do_not_pay_for_a_graph():
    made = backbones.create("test_resnet", pretrained=False, trainable="none", image_size=64)
    made.prepare(64, MANY - 1)
    assert made.runtime is None


def test_the_environment_switches_it_off(monkeypatch):
    monkeypatch.setenv("PARTLABEL_RUNTIME", "eager")
    assert frozen_runtime.create(nn.Conv2d(3, 4, 3).eval(), 32, MANY) is None


def test_without_the_package_pytorch_computes(monkeypatch):
    monkeypatch.setattr(frozen_runtime, "find_spec", lambda name: None)
    assert frozen_runtime.create(nn.Conv2d(3, 4, 3).eval(), 32, MANY) is None


def test_other_numbers_than_float32_are_left_to_pytorch():
    assert frozen_runtime.create(nn.Conv2d(3, 4, 3).bfloat16().eval(), 32, MANY) is None


class Odd(nn.Module):
    """Its result depends on the values of the images in a way that a trace does not see."""

    def forward(self, images):
        return images if images.sum() == 0 else images * 2


def test_a_graph_with_other_numbers_is_refused():
    with pytest.raises(ValueError, match=r"differ by 5\.0e-01"):
        FrozenRuntime(Odd().eval(), 32)


def test_a_module_that_cannot_run_is_left_to_pytorch_with_the_reason(capsys, monkeypatch):
    monkeypatch.delenv("PARTLABEL_QUIET", raising=False)
    assert frozen_runtime.create(Odd().eval(), 32, MANY) is None
    assert "OpenVINO cannot run this backbone (its results differ by 5.0e-01)" in capsys.readouterr().err


def test_any_number_of_images_gives_the_rows_in_their_order(backbone):
    images = images_of(64, 19)
    one_by_one = torch.cat([backbone(each[None]) for each in images])
    np.testing.assert_allclose(backbone(images), one_by_one, atol=1e-5)
