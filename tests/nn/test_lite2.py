"""lite2 from its package: another program's names, the same tensors in the same order."""

from importlib.resources import files

import numpy as np
import pytest
import timm
import torch

from partlabel.nn.backbone import create
from partlabel.nn.backbones.timm import LITE2, PACKAGED

PACKAGE, PIP = PACKAGED[LITE2]


@pytest.fixture(scope="module")
def stored():
    """Return the tensors of the package."""
    pytest.importorskip(PACKAGE, reason=f"{PIP} is not installed: make test-clip")
    (path,) = (files(PACKAGE) / "models").glob("*.pth")
    return torch.load(path, weights_only=True)


def test_every_tensor_has_its_counterpart_of_the_same_kind_and_shape(stored):
    own = timm.create_model(LITE2, pretrained=False).state_dict()
    assert len(own) == len(stored)
    for (name, value), (theirs, tensor) in zip(own.items(), stored.items(), strict=True):
        assert name.rpartition(".")[2] == theirs.rpartition(".")[2], (name, theirs)
        assert value.shape == tensor.shape


def test_the_backbone_has_these_weights_without_a_network(stored):
    backbone = create("lite2", "auto", "none", 64)
    found = list(backbone.state_dict().values())
    np.testing.assert_array_equal(found[0], next(iter(stored.values())))
    assert backbone(torch.zeros(1, 3, 64, 64)).shape == (1, 1280, 2, 2)
    spread = backbone(torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))).std()
    assert 0.05 < spread < 5, "activations of weights in the wrong place vanish or explode"


def test_where_the_package_is_missing_the_message_names_it(monkeypatch):
    monkeypatch.setattr("partlabel.nn.backbones.timm.find_spec", lambda _: None)

    def refuse(*_, **options):
        raise (OSError("no network") if options["pretrained"] else AssertionError("random weights"))

    monkeypatch.setattr("timm.create_model", refuse)
    with pytest.raises(OSError, match=f"install the package {PIP}, which has them"):
        create("lite2", "auto", "none", 64)
