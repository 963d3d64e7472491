from pathlib import Path

import numpy as np
import pytest
import torch

from partlabel.deploy.authors_checkpoint import load_sst

REFERENCE = Path(__file__).parents[1] / "reference" / "sst_small.npz"


@pytest.fixture
def reference():
    with np.load(REFERENCE) as numbers:
        return {name: numbers[name] for name in numbers.files}


@pytest.fixture
def state(reference):
    return {k.removeprefix("state."): torch.tensor(v) for k, v in reference.items() if k.startswith("state.")}


def logits(sst, reference):
    return sst.head(torch.tensor(reference["in.feature_map"])).logits.detach().numpy()


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"state_dict": s, "epoch": 3, "best_mAP": 0.5}])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_pth_file_loads_alone_or_wrapped_and_with_data_parallels_prefix(
    tmp_path, reference, state, wrap, prefix
):
    path = tmp_path / "model_best.pth"
    torch.save(wrap({prefix + name: value for name, value in state.items()}), path)
    sst = load_sst(path)
    np.testing.assert_allclose(logits(sst, reference), reference["out.logits"], rtol=1e-4, atol=1e-4)


def test_the_sst_takes_feature_maps_and_has_the_given_names(reference, state):
    sst = load_sst(state)
    images = torch.tensor(reference["in.feature_map"])
    torch.testing.assert_close(sst(images), sst.head(images).logits)
    assert not sst.training


def test_a_checkpoint_that_lacks_a_part_says_which(state):
    del state["intra_fc_2.weight"], state["wordFeatures"]
    with pytest.raises(
        ValueError, match=r"no checkpoint of the authors' SST: it lacks wordFeatures, intra_fc_2.weight"
    ):
        load_sst(state)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("pwned",))

    path = tmp_path / "evil.pth"
    torch.save({"state_dict": Evil()}, path)
    with pytest.raises(ValueError, match=r"evil\.pth holds more than tensors"):
        load_sst(path)


def test_a_file_with_something_else_in_it_says_so(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"list\.pth holds no state dict but a list"):
        load_sst(tmp_path / "list.pth")


def test_names_must_be_as_many_as_classes(state):
    with pytest.raises(ValueError, match="the checkpoint has 7 classes, and 2 names were given"):
        load_sst(state, class_names=("a", "b"))


def test_a_resnet_in_the_checkpoint_becomes_the_backbone(state):
    """Their backbone has torchvision's names, as timm's has; the 2 x 2 pooling after it has no weights."""
    import timm

    torch.manual_seed(0)
    resnet = timm.create_model("resnet101", pretrained=False, num_classes=0, global_pool="").eval()
    state |= {f"backbone.{name}": value for name, value in resnet.state_dict().items()}
    sst = load_sst(state)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = torch.nn.functional.avg_pool2d(resnet(images), 2)
        torch.testing.assert_close(sst.backbone(images), expected)
        assert sst(images).shape == (1, 7)
